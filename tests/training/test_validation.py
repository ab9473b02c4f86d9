import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.model.objective import Objective
from vae_jax.training import validation
from vae_jax.training.optimizer import make_plateau
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


def test_a_line_has_the_means_and_the_loss_that_they_make():
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


def test_only_a_better_validation_is_the_best(state, train_config):
    plateau, bests = make_plateau(train_config), []
    # Two values that float32 cannot tell apart are equal, not better.
    for distortion in (3.0, 2.0, 2.0 - 1e-9, 2.5, 1.0):
        state = validation.update_after_validation(state, distortion, plateau, train_config)
        bests.append((float(state.best_distortion), int(state.validations_since_best)))
    assert bests == [(3.0, 0), (2.0, 0), (2.0, 1), (2.0, 2), (1.0, 0)]


@pytest.mark.parametrize(("patience", "stalls"), [(0, False), (2, True), (3, False)])
def test_training_stalls_after_as_many_validations_as_its_patience(
    state, train_config, patience, stalls
):
    train_config.early_stopping_patience = patience
    state = state.replace(validations_since_best=jnp.asarray(2, jnp.int32))
    assert validation.has_stalled(state, train_config) is stalls


def test_the_plateau_rule_hears_of_it_where_there_is_one(state, train_config):
    train_config.plateau_patience = 1
    plateau = make_plateau(train_config)
    for _ in range(2):
        state = validation.update_after_validation(state, 1.0, plateau, train_config)
    assert float(state.plateau.scale) == pytest.approx(train_config.plateau_factor)
