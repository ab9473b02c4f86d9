import jax
import numpy as np
import pytest

from vae_jax import noise
from vae_jax.model.vae import build_model, init_params
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state


@pytest.fixture(scope="module")
def recipe(small_config):
    return make_recipe(small_config, build_model(small_config), steps_per_epoch=5)


def test_training_starts_at_step_zero_without_a_best_validation(recipe):
    state = create_state(recipe, 0)
    assert int(state.step) == 0
    assert float(state.best_distortion) == np.inf
    assert int(state.validations_since_best) == 0
    assert float(state.plateau.scale) == 1.0


def test_initial_parameters_are_drawn_from_the_init_stream_of_the_seed(recipe):
    params = init_params(recipe.model, noise.stream_key(3, "init"))
    jax.tree.map(np.testing.assert_array_equal, create_state(recipe, 3).params, params)
    kernels = [
        create_state(recipe, seed).params["decoder"]["unflatten"]["kernel"] for seed in (3, 4)
    ]
    assert not np.array_equal(*kernels)


def test_moments_of_the_optimizer_start_at_zero_for_every_parameter(recipe):
    state = create_state(recipe, 0)
    [adam] = [
        part for part in jax.tree.leaves(state.opt_state, is_leaf=has_moments) if has_moments(part)
    ]
    for moments in (adam.mu, adam.nu):
        assert jax.tree.structure(moments) == jax.tree.structure(state.params)
        assert not any(np.any(leaf) for leaf in jax.tree.leaves(moments))


def has_moments(part):
    return hasattr(part, "mu")


def test_every_part_of_the_state_is_an_array(recipe):
    """The state is exactly what a checkpoint holds, so it contains no functions."""
    leaves = jax.tree.leaves(create_state(recipe, 0))
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)
