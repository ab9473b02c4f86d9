import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.model.objective import Distortion
from vae_jax.training import validation
from vae_jax.training.optimizer import make_plateau
from vae_jax.training.state import TrainState


@pytest.fixture
def settings():
    return default().train


@pytest.fixture
def state(settings):
    plateau = make_plateau(settings)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params={},
        opt_state=(),
        plateau=plateau.init({}),
        best=jnp.full((), jnp.inf, jnp.float32),
        stale=jnp.zeros((), jnp.int32),
    )


def test_a_line_has_the_means_and_the_loss_that_they_make():
    columns = {
        "reconstruction": np.array([2.0, 4.0]),
        "kl": np.array([1.0, 2.0]),
        "frequency": np.array([8.0, 8.0]),
        "quality_mse": np.array([0.25, 0.75]),
    }
    line = validation.summarise(columns, {"beta": 2.0}, Distortion(1.0, 0.5))
    assert line == {
        "loss": 3.0 + 0.5 * 8.0 + 2.0 * 1.5,
        "reconstruction": 3.0,
        "kl": 1.5,
        "frequency": 8.0,
        "mse": 0.5,
        "beta": 2.0,
    }
    assert validation.distortion_of(line) == 3.0 + 0.5 * 8.0


def test_only_a_better_validation_is_the_best(state, settings):
    plateau, heard = make_plateau(settings), []
    # Two values that float32 cannot tell apart are equal, not better.
    for distortion in (3.0, 2.0, 2.0 - 1e-9, 2.5, 1.0):
        state = validation.tell(state, distortion, plateau, settings)
        heard.append((float(state.best), int(state.stale)))
    assert heard == [(3.0, 0), (2.0, 0), (2.0, 1), (2.0, 2), (1.0, 0)]


@pytest.mark.parametrize(("patience", "stalls"), [(0, False), (2, True), (3, False)])
def test_training_stalls_after_as_many_validations_as_its_patience(
    state, settings, patience, stalls
):
    settings.early_stopping_patience = patience
    state = state.replace(stale=jnp.asarray(2, jnp.int32))
    assert validation.has_stalled(state, settings) is stalls


def test_the_plateau_rule_hears_of_it_where_there_is_one(state, settings):
    settings.plateau_patience = 1
    plateau = make_plateau(settings)
    for _ in range(2):
        state = validation.tell(state, 1.0, plateau, settings)
    assert float(state.plateau.scale) == pytest.approx(settings.plateau_factor)
