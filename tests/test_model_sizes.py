"""The counts without JAX are those of JAX."""

import jax
import jax.numpy as jnp
import pytest

from tests.shipped_configs import load_shipped
from vae_jax.config import default
from vae_jax.model.branched import build_branches
from vae_jax.model_sizes import measure_model

SHIPPED = load_shipped()
# Several variants have the same model; one of them stands for all.
MODELS = {
    str((config.model.to_dict(), config.data.image_size, config.data.channels)): name
    for name, config in SHIPPED.items()
}


def count_by_jax(model):
    """The shapes of the parameters and of the output, which JAX derives without computing anything."""

    def init(key):
        x = jnp.zeros((1, model.image_size, model.image_size, model.channels))
        label = jnp.zeros((1, model.num_classes)) if model.num_classes else None
        z = jnp.zeros((1, model.latent_size))
        (_, raw), variables = model.init_with_output(key, x, z, label)
        return raw, variables["params"]

    raw, params = jax.eval_shape(init, jax.random.key(0))
    return raw.size, sum(leaf.size for leaf in jax.tree.leaves(params))


def assert_agrees(config):
    sizes, model = measure_model(config), build_branches(config)
    assert sizes.keys() == model.branches.keys()
    for name, branch in model.branches.items():
        outputs, parameters = count_by_jax(branch)
        assert sizes[name].parameters == parameters
        assert sizes[name].outputs == outputs
        assert sizes[name].latent == branch.latent_size


@pytest.mark.parametrize("name", MODELS.values())
def test_the_sizes_of_a_shipped_model_are_those_of_jax(name):
    assert_agrees(SHIPPED[name])


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "linear"},
        {"num_classes": 3, "hidden_dim": 5, "kernel_size": 3, "likelihood": "gaussian_learned"},
        {"kind": "ae", "hidden_dim": 7, "widths": (4,), "likelihood": "discretised_logistic"},
        {"observations": ("features", "bands"), "kind": "linear", "grid": 3, "feature_channels": 5},
        {"observations": ("features", "bands"), "kind": "ae", "latent": "vector"},
        {"observations": ("bands",), "latent": "spatial", "grid": 7, "band_size": 72},
        {"observations": ("features",), "grid": 7, "feature_widths": (6,)},
    ],
)
def test_the_sizes_of_other_models_are_those_of_jax(fields):
    config = default()
    config.model.update(fields)
    assert_agrees(config)
