"""Runs one epoch in every mode; the tests share the runs, because compiling takes seconds."""

import functools

import jax
import numpy as np
import pytest

from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.errors import UserError
from vae_jax.model.vae import build_model
from vae_jax.training import epoch as epoch_lib
from vae_jax.training.parallel import MODES, make_run_steps, replicas_agree
from vae_jax.training.placement import place_images
from vae_jax.training.plans import make_plans
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state
from vae_jax.training.step import TracedHyperparameters

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run_epoch(small_config, images):
    """(mode, ...) -> state and metrics after one epoch of five steps, the last with six images."""

    @functools.cache
    def compile_steps(mode, accumulate):
        config = small_config.copy_and_resolve_references()
        config.train.accumulate = accumulate
        recipe = make_recipe(config, build_model(config), steps_per_epoch=5)
        return recipe, make_run_steps(recipe, mode, config.train.batch_size, jax.devices())

    @functools.cache
    def run(mode, cache="device", steps_per_call=64, accumulate=1):
        recipe, run_steps = compile_steps(mode, accumulate)
        classes = np.zeros(len(images), np.int32)
        plans = make_plans(0, 0, classes, small_config.train.batch_size, steps_per_call)
        stored = ImagesOnDisk.from_parts([np.asarray(images)]) if cache == "none" else images
        return epoch_lib.run_epoch(
            run_steps, place_images(stored, cache), create_state(recipe, 0), plans,
            TracedHyperparameters(np.uint32(0), np.float32(1.0)), lambda count: None,
        )  # fmt: skip

    return run


def assert_same_params(state, other, tolerance):
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=tolerance)


def assert_same_metrics(metrics, other):
    assert metrics.keys() == other.keys()
    for name, values in metrics.items():
        np.testing.assert_allclose(values, other[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("mode", ["pmap", "sharded"])
def test_eight_devices_give_the_state_and_the_metrics_of_one(run_epoch, mode):
    assert len(jax.devices()) == 8
    state, metrics = run_epoch("jit")
    parallel_state, parallel_metrics = run_epoch(mode)
    assert int(state.step) == 5
    assert metrics["count"].tolist() == [16, 16, 16, 16, 6]
    assert_same_params(state, parallel_state, 1e-6)
    assert_same_metrics(metrics, parallel_metrics)
    assert replicas_agree(parallel_state)


def test_result_does_not_depend_on_the_steps_per_call(run_epoch):
    at_once, metrics = run_epoch("jit")
    in_calls, metrics_of_calls = run_epoch("jit", steps_per_call=2)
    assert_same_params(at_once, in_calls, 1e-7)
    assert_same_metrics(metrics, metrics_of_calls)


def test_binary_images_are_drawn_alike_on_one_device_and_on_eight(small_config, images):
    config = small_config.copy_and_resolve_references()
    config.model.likelihood, config.data.binarise = "bernoulli", "dynamic"
    config.train.learning_rate = 1e-3
    classes = np.zeros(len(images), np.int32)
    states = []
    for mode, steps_per_call in (("jit", 1), ("pmap", 64)):
        recipe = make_recipe(config, build_model(config), steps_per_epoch=5)
        run_steps = make_run_steps(recipe, mode, config.train.batch_size, jax.devices())
        plans = make_plans(0, 0, classes, config.train.batch_size, steps_per_call)
        states.append(
            epoch_lib.run_epoch(
                run_steps, place_images(images, "device"), create_state(recipe, 0), plans,
                TracedHyperparameters(np.uint32(0), np.float32(1.0)), lambda count: None,
            )
        )  # fmt: skip
    assert_same_params(states[0][0], states[1][0], 1e-6)
    assert_same_metrics(states[0][1], states[1][1])


@pytest.mark.parametrize("mode", MODES)
def test_result_does_not_depend_on_where_the_images_are_stored(run_epoch, mode):
    on_device, _ = run_epoch(mode)
    for cache in ("host", "none"):
        state, _ = run_epoch(mode, cache, steps_per_call=2)
        assert_same_params(on_device, state, 1e-7)


@pytest.mark.parametrize("mode", MODES)
def test_result_does_not_depend_on_the_number_of_parts_of_a_batch(run_epoch, mode):
    state, metrics = run_epoch(mode)
    state_of_parts, metrics_of_parts = run_epoch(mode, accumulate=2)
    assert_same_params(state, state_of_parts, 1e-6)
    assert_same_metrics(metrics, metrics_of_parts)


def test_devices_with_different_states_are_noticed(run_epoch):
    state, _ = run_epoch("pmap")
    parts = [jax.device_put(np.int32(i == 3), device) for i, device in enumerate(jax.devices())]
    step = jax.make_array_from_single_device_arrays((), state.step.sharding, parts)
    assert not replicas_agree(state.replace(step=step))


def test_pmap_over_more_devices_keeps_the_work_of_each(small_config, images, monkeypatch):
    """The batch grows with the devices, so the program of one device has the same cost."""
    flops, pmap = [], jax.pmap

    def count_flops(function, **settings):
        def run(*args):
            # Optimised machine code would take long to compile, and has the same operations.
            lowered = pmap(function, **settings).lower(*args)
            compiled = lowered.compile({"xla_backend_optimization_level": 0})
            flops.append(compiled.cost_analysis()["flops"])
            return args[0], {}

        return run

    monkeypatch.setattr(jax, "pmap", count_flops)
    recipe = make_recipe(small_config, build_model(small_config), 1)
    classes = np.zeros(len(images), np.int32)
    for num_devices in (1, 4):
        batch_size = 8 * num_devices
        run_steps = make_run_steps(recipe, "pmap", batch_size, jax.devices()[:num_devices])
        plan, _ = next(make_plans(0, 0, classes, batch_size, 2))
        hyperparameters = TracedHyperparameters(np.uint32(0), np.float32(1.0))
        run_steps(create_state(recipe, 0), images, plan, 2, hyperparameters)
    assert len(flops) == 2
    assert flops[0] > 1e5
    np.testing.assert_allclose(flops, flops[0], rtol=0.01)


def test_a_batch_that_the_devices_cannot_share_is_refused(small_config):
    recipe = make_recipe(small_config, build_model(small_config), 1)
    with pytest.raises(
        UserError, match="20, which is not divisible by the 8 devices; set it to 16 or 24"
    ):
        make_run_steps(recipe, "pmap", 20, jax.devices())


def test_a_batch_smaller_than_its_shares_is_refused_with_the_smallest_possible_size(small_config):
    config = small_config.copy_and_resolve_references()
    config.train.accumulate = 2
    recipe = make_recipe(config, build_model(config), 1)
    message = "8 devices times train.accumulate=2; set it to 16, or set"
    with pytest.raises(UserError, match=message):
        make_run_steps(recipe, "pmap", 4, jax.devices())
