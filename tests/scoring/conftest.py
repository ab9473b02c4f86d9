"""Views and normals that a test fills in."""

import jax
import jax.numpy as jnp
import pytest

from vae_jax.model.objective import Terms
from vae_jax.model.vae import BoundModel, Posterior, build_model
from vae_jax.scoring.view import TrainingNormals, View


@pytest.fixture
def make_view(config):
    """Returns a function that makes a view from its parts; every part that is left out is zero."""
    without_params = BoundModel(build_model(config), {})

    def make_view(count, **parts):
        blank = jnp.zeros((count, 8, 8, 1))
        each = jnp.zeros(count)
        defaults = {
            "x": blank,
            "x_hat": blank,
            "posterior": Posterior(jnp.zeros((count, 2)), jnp.zeros((count, 2))),
            "terms": Terms(each, each, each),
            "x_hat_noisy": blank,
            "bound": without_params,
            "keys": jax.random.split(jax.random.key(0), count),
            "scoring_config": config.scoring,
            "fits": {},
            "host": {},
        }
        return View(**defaults | parts)

    return make_view


@pytest.fixture
def make_normals(config):
    """Posterior -> training normals with these codes."""

    def make_normals(codes):
        return TrainingNormals(lambda: codes, lambda name: None, config.scoring, config.seed)

    return make_normals
