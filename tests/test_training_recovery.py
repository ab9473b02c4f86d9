"""Training that breaks: where it says that it broke, and how it goes back to a checkpoint."""

import dataclasses

import jax
import numpy as np
import pytest

from vae_jax import train as train_lib
from vae_jax import training_recovery
from vae_jax.errors import UserError
from vae_jax.observation.observed import observe_dataset
from vae_jax.report.evaluation.model_caveats import check_rollbacks
from vae_jax.results import describe_training
from vae_jax.training import history
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.plans import skip_steps
from vae_jax.training_setup import set_up_training
from vae_jax.workdir_claim import claim_workdir

pytestmark = pytest.mark.slow


def train(config, workdir, dataset):
    claim_workdir(workdir, config)
    return train_lib.train(config, workdir, dataset)


def assert_bitwise_equal(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(np.asarray(x), np.asarray(y)), a, b)


@pytest.fixture
def break_above(monkeypatch):
    """(step, scale) -> the loss is NaN from this step on while the rate is multiplied by more than this."""

    def break_above(step, scale):
        set_up = train_lib.set_up_training

        def set_up_broken(*args):
            training = set_up(*args)
            run_steps = training.trainer.run_steps

            def run(state, images, plan, count, hyperparameters):
                first, is_high = int(state.step), float(state.plateau.scale) > scale
                state, metrics = run_steps(state, images, plan, count, hyperparameters)
                steps = first + np.arange(len(metrics["loss"]))
                broken = (steps >= step) & is_high
                loss = np.where(broken, np.float32(np.nan), np.asarray(metrics["loss"]))
                return state, metrics | {"loss": loss}

            trainer = dataclasses.replace(training.trainer, run_steps=run)
            return dataclasses.replace(training, trainer=trainer)

        monkeypatch.setattr(train_lib, "set_up_training", set_up_broken)
        # No layer is broken here, and a search through all layers takes seconds.
        monkeypatch.setattr(training_recovery, "find_broken_layer", lambda *args: "a layer")

    return break_above


def diverge(config):
    config.train.learning_rate = config.train.clip_norm = 1e30


def test_the_error_names_the_layer_and_a_lower_rate_is_then_accepted_on_the_same_workdir(
    tmp_path, trained_run, dataset
):
    config, sound = trained_run
    rate, clip = config.train.learning_rate, config.train.clip_norm
    config.train.learning_rate = rate / 2
    with pytest.raises(UserError, match="another config"):  # that run did not break
        claim_workdir(sound, config)

    config.train.epochs = 2
    diverge(config)
    with pytest.raises(UserError, match=r"first in the output of (en|de)coder/") as error:
        train(config, tmp_path / "run", dataset)
    assert "\n" not in str(error.value)
    config.train.learning_rate = 1e31
    with pytest.raises(UserError, match=r"with a lower train.learning_rate only"):
        claim_workdir(tmp_path / "run", config)
    config.train.learning_rate = rate
    config.train.clip_norm = clip
    with pytest.raises(UserError, match=r"train\.clip_norm"):
        claim_workdir(tmp_path / "run", config)
    config.train.clip_norm = 1e30
    state = train(config, tmp_path / "run", dataset)
    assert int(state.step) == 6
    config.train.learning_rate = rate / 2
    with pytest.raises(UserError, match="another config"):  # the run got past the broken step
        claim_workdir(tmp_path / "run", config)


def test_the_third_break_in_a_row_stops_training_in_one_line(tmp_path, config, dataset, caplog):
    diverge(config)
    config.train.on_nan = "rollback"
    with pytest.raises(UserError, match="broke 3 times in a row") as error:
        train(config, tmp_path, dataset)
    assert "\n" not in str(error.value)
    assert sum("training goes back to step" in line for line in caplog.messages) == 2


def test_a_rollback_recovers_and_a_run_that_is_stopped_after_it_is_the_same(
    tmp_path, config, dataset, break_above
):
    config.train.on_nan, config.train.epochs = "rollback", 4
    break_above(7, 0.3)
    whole = train(config, tmp_path / "whole", dataset)
    assert int(whole.step) == 12
    assert float(whole.plateau.scale) == 0.25
    lines = history.read_metrics(tmp_path / "whole")
    counts = [line.get("rollbacks", 0) for line in lines if line["split"] == "train"]
    assert counts[-1] == 2
    for epochs in (2, 3, 4):  # stopped before and after the rollbacks
        config.train.epochs = epochs
        resumed = train(config, tmp_path / "resumed", dataset)
    assert_bitwise_equal(whole, resumed)


def test_a_poisoned_parameter_is_named_and_its_state_is_never_saved(
    tmp_path, config, dataset, monkeypatch
):
    save = train_lib.check_state

    def poison(state, folder):
        bias = state.params["encoder"]["mu"]["bias"].at[0].set(np.inf)
        encoder = state.params["encoder"] | {"mu": state.params["encoder"]["mu"] | {"bias": bias}}
        save(state.replace(params=state.params | {"encoder": encoder}), folder)

    monkeypatch.setattr(train_lib, "check_state", poison)
    with pytest.raises(UserError, match="parameter encoder/mu/bias"):
        train(config, tmp_path, dataset)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.latest_step() == 0


class _KilledError(BaseException):
    """Ends a process where nothing is saved any more."""


def test_a_run_that_is_killed_right_after_a_rollback_counts_it_once_and_has_the_same_rates(
    tmp_path, config, dataset, break_above, monkeypatch
):
    config.train.on_nan, config.train.epochs = "rollback", 4
    break_above(7, 0.3)
    whole = train(config, tmp_path / "whole", dataset)
    recover, kills = train_lib.recover, []

    def recover_and_die(*args):
        start = recover(*args)
        if len(kills) < 2:
            kills.append(start)
            raise _KilledError
        return start

    monkeypatch.setattr(train_lib, "recover", recover_and_die)
    for _ in range(2):
        with pytest.raises(_KilledError):
            train(config, tmp_path / "killed", dataset)
    killed = train(config, tmp_path / "killed", dataset)
    assert_bitwise_equal(whole, killed)
    section = describe_training(tmp_path / "killed")
    assert section == describe_training(tmp_path / "whole")
    assert [
        (rollback["step"], rollback["checkpoint"], rollback["rate_factor"])
        for rollback in section["training"]["rollbacks"]
    ] == [(7, 6, 0.5), (7, 6, 0.25)]
    [caveat] = check_rollbacks(section)
    assert caveat.startswith("Training broke 2 times")
    assert "at step 7 back to step 6 with 0.25 times the learning rate" in caveat


def test_an_image_with_a_value_that_is_not_finite_is_named_when_its_batch_comes(
    tmp_path, config, dataset
):
    config.train.on_nan = "rollback"
    config.model.observations = ("bands",)
    observed = observe_dataset(dataset, config)
    training = set_up_training(config, tmp_path, observed)
    plan = next(skip_steps(training.trainer.plan(0), 2))[0]  # the last step of the first epoch
    row = int(np.asarray(plan.rows)[0, 0])
    arrays = observed.train.observed.arrays
    arrays["bands"] = np.array(arrays["bands"])
    arrays["bands"][row].flat[0] = np.inf
    with pytest.raises(UserError, match="broke 3 times in a row") as error:
        train(config, tmp_path / "run", observed)
    name = observed.train.names[row % len(observed.train)]
    assert "broke at step 2" in str(error.value)
    assert name in str(error.value)


def test_a_run_that_never_broke_has_no_section_training(trained_run):
    assert describe_training(trained_run[1]) == {}
