import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.model.objective import Objective
from vae_jax.model.vae import build_model
from vae_jax.training import validation
from vae_jax.training.optimizer import make_plateau
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import TrainState


@pytest.fixture
def train_config():
    return default().train


@pytest.fixture
def state(train_config):
    plateau = make_plateau(train_config)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params={},
        opt_state=(),
        plateau=plateau.init({}),
        best_distortion=jnp.full((), jnp.inf, jnp.float32),
        validations_since_best=jnp.zeros((), jnp.int32),
    )


def test_a_line_has_the_means_and_the_loss_of_the_means():
    columns = {
        "reconstruction": np.array([2.0, 4.0]),
        "kl": np.array([1.0, 2.0]),
        "frequency": np.array([8.0, 8.0]),
        "quality_mse": np.array([0.25, 0.75]),
    }
    summary = validation.summarise(columns, {"beta": 2.0}, Objective(1.0, 0.5))
    assert summary.line == {
        "loss": 3.0 + 0.5 * 8.0 + 2.0 * 1.5,
        "reconstruction": 3.0,
        "kl": 1.5,
        "frequency": 8.0,
        "mse": 0.5,
        "beta": 2.0,
    }
    assert summary.distortion == 3.0 + 0.5 * 8.0


def test_only_a_lower_distortion_is_the_best(state, train_config):
    plateau, bests = make_plateau(train_config), []
    # Two values that are equal in float32 are no improvement.
    for distortion in (3.0, 2.0, 2.0 - 1e-9, 2.5, 1.0):
        state = validation.update_after_validation(state, distortion, plateau, train_config)
        bests.append((float(state.best_distortion), int(state.validations_since_best)))
    assert bests == [(3.0, 0), (2.0, 0), (2.0, 1), (2.0, 2), (1.0, 0)]


@pytest.mark.parametrize(("patience", "stalls"), [(0, False), (2, True), (3, False)])
def test_training_stalls_after_as_many_validations_as_the_patience(
    state, train_config, patience, stalls
):
    train_config.early_stopping_patience = patience
    state = state.replace(validations_since_best=jnp.asarray(2, jnp.int32))
    assert validation.has_stalled(state, train_config) is stalls


def test_a_validation_updates_the_plateau_scheduler_if_it_has_a_patience(state, train_config):
    train_config.plateau_patience = 1
    plateau = make_plateau(train_config)
    for _ in range(2):
        state = validation.update_after_validation(state, 1.0, plateau, train_config)
    assert float(state.plateau.scale) == pytest.approx(train_config.plateau_factor)


def make_validator(train_config, distortions):
    """A validator whose validation images have these distortions, one after the other."""
    values = iter(distortions)
    config = default()
    config.model.widths = (4,)
    model = build_model(config)
    recipe = make_recipe(config, model, 1)

    def score(value):
        names = ("reconstruction", "kl", *validation.list_quality_columns(model))
        return {name: np.array([value]) for name in names}

    return validation.Validator(
        recipe=recipe,
        train_config=train_config,
        max_beta=2.0,
        score_val=lambda params: score(next(values)),
        score_train=lambda params: score(9.0),
        checkpoint_folder=pathlib.Path("checkpoints"),
    )


def test_a_state_is_the_best_only_once_beta_has_risen_or_training_ends(state, train_config):
    train_config.epochs = 3
    validator = make_validator(train_config, [1.0, 3.0, 2.0])
    for epoch, beta, expected in ((1, 1.9, None), (2, 2.0, 3.0), (3, 1.9, 2.0)):
        line = {"beta": beta, "learning_rate": 0.1}
        state, result = validator.validate(state, epoch, line)
        assert result.distortion == expected
        assert result.val_line["loss"] == result.val_line["kl"] * (1 + beta)
        assert result.train_quality == {"mse": 9.0, "psnr": 9.0, "ssim": 9.0}
    assert float(state.best_distortion) == 2.0


def test_a_validation_that_is_not_finite_stops_training(state, train_config):
    validator = make_validator(train_config, [np.nan])
    with pytest.raises(UserError, match="broke at step 0: reconstruction is nan"):
        validator.validate(state, 1, {"beta": 2.0, "learning_rate": 0.1})


def test_validations_are_due_at_their_interval_and_at_the_end(train_config):
    train_config.epochs, train_config.epochs_per_validation = 8, 3
    validator = make_validator(train_config, [])
    assert [epoch for epoch in range(1, 9) if validator.is_due(epoch)] == [3, 6, 8]


def test_checkpoints_are_due_for_the_best_state_at_their_interval_and_at_the_end(
    state, train_config
):
    train_config.epochs, train_config.epochs_per_checkpoint = 8, 3
    train_config.early_stopping_patience = 2

    def is_due(epoch, validations_since_best, distortion):
        changed = state.replace(validations_since_best=validations_since_best)
        result = validation.ValidationResult(distortion=distortion)
        return validation.is_checkpoint_due(changed, epoch, result, train_config)

    assert is_due(1, 0, distortion=1.0)
    assert not is_due(1, 0, distortion=None)
    assert not is_due(1, 1, distortion=1.0)
    assert is_due(3, 1, distortion=1.0)
    assert is_due(8, 1, distortion=1.0)
    assert is_due(4, 2, distortion=1.0)
