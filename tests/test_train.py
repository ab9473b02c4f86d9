import contextlib
import dataclasses
import json
import signal
import time

import jax
import numpy as np
import pytest

from vae_jax import train as train_lib
from vae_jax.data.pipeline import binarise_role
from vae_jax.errors import UserError
from vae_jax.runtime import signals
from vae_jax.runtime.signals import StoppedError, handle_signals
from vae_jax.training import history
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.workdir_claim import claim_workdir

pytestmark = pytest.mark.slow
TIMES = ("images_per_second", "seconds", "peak_memory_bytes")


def train(config, workdir, dataset):
    claim_workdir(workdir, config)
    return train_lib.train(config, workdir, dataset)


def assert_bitwise_equal(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(np.asarray(x), np.asarray(y)), a, b)


def test_loss_falls_and_every_epoch_has_one_line_per_split(tmp_path, config, dataset):
    train(config, tmp_path, dataset)
    lines = history.read_metrics(tmp_path)
    for split in ("train", "val"):
        rows = [line for line in lines if line["split"] == split]
        assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
        assert [row["step"] for row in rows] == [3, 6, 9, 12, 15]
        assert rows[-1]["loss"] < rows[0]["loss"]
        assert rows[-1]["mse"] < rows[0]["mse"]
        np.testing.assert_allclose(
            [row["loss"] for row in rows],
            [row["reconstruction"] + row["beta"] * row["kl"] for row in rows],
            rtol=1e-5,
        )


@pytest.mark.parametrize("binarise", ["", "dynamic"])
def test_a_resumed_run_equals_a_run_that_was_not_stopped_bit_for_bit(
    tmp_path, config, dataset, binarise
):
    if binarise:
        config.data.binarise, config.model.likelihood = binarise, "bernoulli"
        dataset = dataclasses.replace(
            dataset, train=binarise_role(dataset.train, binarise, "train")
        )
    uninterrupted = train(config, tmp_path / "uninterrupted", dataset)
    config.train.epochs = 2
    train(config, tmp_path / "resumed", dataset)
    config.train.epochs = 5
    resumed = train(config, tmp_path / "resumed", dataset)
    assert_bitwise_equal(uninterrupted, resumed)
    uninterrupted_lines, resumed_lines = (
        history.read_metrics(tmp_path / "uninterrupted"),
        history.read_metrics(tmp_path / "resumed"),
    )
    assert [line["step"] for line in uninterrupted_lines] == [
        line["step"] for line in resumed_lines
    ]
    assert [line["loss"] for line in uninterrupted_lines] == [
        line["loss"] for line in resumed_lines
    ]


def test_a_run_that_signals_stop_within_epochs_equals_one_that_was_not_stopped(
    tmp_path, config, dataset, monkeypatch
):
    config.train.epochs = 2
    uninterrupted = train(config, tmp_path / "uninterrupted", dataset)
    open_progress_bar = train_lib.open_progress_bar

    @contextlib.contextmanager
    def open_and_stop(*arguments):
        """A signal comes after the second call of each start."""
        calls = []
        with open_progress_bar(*arguments) as bar:
            update = bar.update

            def count(num_images):
                update(num_images)
                calls.append(num_images)
                if len(calls) == 2:
                    signal.raise_signal(signal.SIGTERM)
                    while signals._pending is None:  # Python may run its handler a little later
                        time.sleep(0.001)

            bar.update = count
            yield bar

    monkeypatch.setattr(train_lib, "open_progress_bar", open_and_stop)
    steps = []
    for _ in range(2):  # an epoch has three steps, and the first two calls of a start one step each
        with pytest.raises(StoppedError), handle_signals():
            train(config, tmp_path / "stopped", dataset)
        with Checkpoints(tmp_path / "stopped" / "checkpoints") as checkpoints:
            steps.append(checkpoints.latest_step())
    assert steps == [2, 4]
    monkeypatch.undo()
    resumed = train(config, tmp_path / "stopped", dataset)
    assert_bitwise_equal(uninterrupted, resumed)
    lines, resumed_lines = (
        [
            {name: value for name, value in line.items() if name not in TIMES}
            for line in history.read_metrics(tmp_path / name)
        ]
        for name in ("uninterrupted", "stopped")
    )
    assert lines == resumed_lines


def test_lines_after_the_last_checkpoint_are_written_only_once(tmp_path, config, dataset):
    config.train.epochs = 2
    train(config, tmp_path, dataset)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 9, "epoch": 3, "split": "train", "loss": 1.0}) + "\n")
        file.write('{"step": 9, "epoch": 3, "spl')
    config.train.epochs = 4
    train(config, tmp_path, dataset)
    steps = [line["step"] for line in history.read_metrics(tmp_path) if line["split"] == "train"]
    assert steps == [3, 6, 9, 12]


def test_every_checkpoint_of_an_epoch_shows_images_beside_their_reconstructions(
    tmp_path, config, dataset, monkeypatch
):
    shown = {}
    monkeypatch.setattr(
        history.History, "write_images", lambda _, step, name, images: shown.update({step: images})
    )
    config.train.epochs = 2
    train(config, tmp_path, dataset)
    assert shown.keys() == {3, 6}
    for pairs in shown.values():
        assert pairs.shape == (8, 8, 16, 1)
        np.testing.assert_allclose(pairs[:, :, :8], dataset.val.images[:8] / 255, atol=1e-6)
    distances = [np.mean((pairs[:, :, :8] - pairs[:, :, 8:]) ** 2) for pairs in shown.values()]
    assert 0 < distances[1] < distances[0]


def test_runs_are_equal_exactly_if_their_seeds_are_equal(tmp_path, config, dataset):
    config.train.epochs = 1
    first = train(config, tmp_path / "a", dataset)
    again = train(config, tmp_path / "b", dataset)
    config.seed = 1
    other = train(config, tmp_path / "c", dataset)
    assert_bitwise_equal(first, again)
    difference = jax.tree.map(lambda x, y: float(abs(x - y).max()), first.params, other.params)
    assert max(jax.tree.leaves(difference)) > 1e-3


def test_a_loss_that_is_not_finite_stops_training_and_keeps_a_finite_checkpoint(
    tmp_path, config, dataset
):
    config.train.learning_rate = 1e30
    config.train.clip_norm = 1e30
    with pytest.raises(UserError, match=r"training broke at step \d+: \w+ is (nan|inf|-inf)"):
        train(config, tmp_path, dataset)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        params, _ = checkpoints.restore_params(checkpoints.latest_step())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_training_stops_early_and_a_second_start_does_not_continue_it(tmp_path, config, dataset):
    config.train.epochs = 50
    config.train.learning_rate = 1e-12
    config.train.early_stopping_patience = 2
    state = train(config, tmp_path, dataset)
    assert int(state.step) < 50 * 3
    assert int(state.validations_since_best) == 2
    assert int(train(config, tmp_path, dataset).step) == int(state.step)


def test_the_learning_rate_is_lowered_on_a_plateau(tmp_path, config, dataset):
    config.train.learning_rate = 1e-12
    config.train.epochs = 6
    config.train.plateau_patience = 2
    train(config, tmp_path, dataset)
    rates = [
        line["learning_rate"] for line in history.read_metrics(tmp_path) if line["split"] == "train"
    ]
    assert rates[0] == pytest.approx(1e-12)
    assert rates[-1] <= 0.5e-12


def test_changed_data_is_refused(tmp_path, config, dataset):
    config.train.epochs = 1
    train(config, tmp_path, dataset)
    config.train.epochs = 2
    with pytest.raises(UserError, match="fingerprint abc then, xyz now"):
        train(config, tmp_path, dataclasses.replace(dataset, fingerprint="xyz"))


@pytest.mark.parametrize("kind", ["vae", "ae"])
def test_an_autoencoder_has_no_kl_and_a_vae_has_one(tmp_path, config, dataset, kind):
    config.model.kind = kind
    config.train.epochs = 1
    train(config, tmp_path, dataset)
    kl = [line["kl"] for line in history.read_metrics(tmp_path)]
    assert all(value == 0 for value in kl) == (kind == "ae")


def test_no_state_is_the_best_while_beta_rises(tmp_path, config, dataset):
    config.objective.beta_schedule, config.objective.beta_warmup = "linear", 3.0
    config.objective.beta = 50.0
    train(config, tmp_path, dataset)
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        assert checkpoints.best_step() >= 3 * 3  # an epoch has three steps
    config.train.epochs = 2  # training ends before beta has risen; then the last state is the best
    train(config, tmp_path / "short", dataset)
    with Checkpoints(tmp_path / "short" / "checkpoints") as checkpoints:
        assert checkpoints.best_step() == 6


def test_epochs_after_the_first_compile_nothing(tmp_path, config, dataset):
    """Incomplete batches, short calls, validations and checkpoints need no new programs."""
    compiled = []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        counts = []
        for epochs in (1, 1, 5):  # the first run also compiles programs that all runs share
            config.train.epochs = epochs
            workdir = tmp_path / str(len(counts))
            claim_workdir(workdir, config)
            compiled.clear()
            train_lib.train(config, workdir, dataset)
            counts.append(len(compiled))
    finally:
        jax.monitoring.clear_event_listeners()
    assert counts[1] > 0
    assert counts[2] == counts[1]
