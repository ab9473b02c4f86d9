"""Estimates are below what XLA reserves for the same step, and close enough to it to be of use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.data.batches import Batch
from vae_jax.memory_needs import list_needs
from vae_jax.model.branched import build_branches
from vae_jax.model_sizes import measure_model
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state
from vae_jax.training.step import TracedHyperparameters, make_train_step
from vae_jax.validate import resolve_names
from vae_jax.workdir import override_fields


def make_config(fields):
    config = default()
    override_fields(config, fields)
    resolve_names(config)
    return config


def find_need(config, purpose, mode="train", **kwargs):
    (need,) = [need for need in list_needs(config, mode, **kwargs) if need.purpose == purpose]
    return need.num_bytes


def measure_step(config):
    """The memory that XLA reserves for one training step: the state, the batch and all that is between."""
    model, size = build_branches(config), config.data.image_size
    recipe = make_recipe(config, model, 10)
    state = create_state(recipe, 0)
    count = config.train.batch_size
    number = jax.ShapeDtypeStruct((count,), jnp.int32)
    image = jax.ShapeDtypeStruct((count, size, size, config.data.channels), jnp.uint8)
    if config.model.observations != ("pixels",):
        shapes = {
            name: (b.image_size, b.image_size, b.channels) for name, b in model.branches.items()
        }
        image = {
            name: jax.ShapeDtypeStruct((count, *shape), jnp.float16)
            for name, shape in shapes.items()
        }
    mask = jax.ShapeDtypeStruct((count,), jnp.float32)
    step = jax.jit(make_train_step(recipe), donate_argnums=0)
    compiled = step.lower(
        state,
        Batch(image, number, mask, number),
        TracedHyperparameters(np.uint32(0), np.float32(1)),
    ).compile()
    reserved = compiled.memory_analysis()
    return (
        reserved.argument_size_in_bytes
        + reserved.output_size_in_bytes
        - reserved.alias_size_in_bytes
        + reserved.temp_size_in_bytes
    )


@pytest.mark.slow
@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(
    "fields",
    [
        {
            "data.image_size": 16,
            "model.widths": (16,),
            "train.batch_size": 512,
            "train.accumulate": 2,
            "train.precision": "bfloat16",
        },
        {"model.observations": ("features",), "train.batch_size": 1},
    ],
)
def test_a_training_step_takes_more_than_the_estimate_but_not_ten_times_as_much(fields):
    config = make_config(fields)
    estimate, reserved = find_need(config, "a training step"), measure_step(config)
    assert estimate < reserved < 10 * estimate


def test_devices_and_parts_share_a_batch_but_not_the_parameters():
    config = make_config({"train.batch_size": 2**20})
    (parameters,) = (size.parameters for size in measure_model(config).values())
    whole = find_need(config, "a training step") - 12 * parameters
    assert find_need(config, "a training step", num_devices=4) - 12 * parameters == whole / 4
    config.train.accumulate = 2
    plan = 12 * 2**20
    assert find_need(config, "a training step") - 12 * parameters - plan == (whole - plan) / 2
    config.train.update(accumulate=1, parallel="jit")
    assert find_need(config, "a training step", num_devices=4) - 12 * parameters == whole


def test_a_run_that_is_judged_again_needs_its_parameters_once():
    config = make_config({"model.latent_dim": 100_000})
    (parameters,) = (size.parameters for size in measure_model(config).values())
    assert find_need(config, "the model", "evaluate") == 4 * parameters
    assert list_needs(config, "audit") == []
