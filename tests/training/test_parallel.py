import jax
import numpy as np
import pytest

from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.errors import UserError
from vae_jax.model.vae import build_model
from vae_jax.training import epoch as epoch_lib
from vae_jax.training.parallel import MODES, make_run_steps, replicas_agree
from vae_jax.training.placement import place_images
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state
from vae_jax.training.step import TracedHyperparameters


def run_one_epoch(
    config, images, mode, devices, *, cache="device", steps_per_call=64, accumulate=1
):
    steps_per_epoch = -(-len(images) // config.train.batch_size)
    model = build_model(config)
    config.train.accumulate = accumulate
    recipe = make_recipe(config, model, steps_per_epoch)
    run_steps = make_run_steps(recipe, mode, config.train.batch_size, devices)
    state = create_state(recipe, config.seed)
    hyperparameters = TracedHyperparameters(
        np.uint32(config.seed), np.float32(config.objective.beta)
    )
    classes = np.zeros(len(images), np.int32)
    plans = epoch_lib.make_plans(config.seed, 0, classes, config.train.batch_size, steps_per_call)
    return epoch_lib.run_epoch(
        run_steps, place_images(images, cache), state, plans, hyperparameters, lambda _: None
    )


def assert_same_params(state, other, tolerance):
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(other.params), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=0, atol=tolerance)


def test_jit_pmap_and_sharded_jit_agree_after_five_steps_with_a_ragged_batch(small_config, images):
    devices = jax.devices()
    assert len(devices) == 8
    states = {mode: run_one_epoch(small_config, images, mode, devices)[0] for mode in MODES}
    assert int(states["jit"].step) == 5
    for mode in ("pmap", "sharded"):
        assert_same_params(states["jit"], states[mode], 1e-6)
        assert replicas_agree(states[mode])


def test_metrics_do_not_depend_on_the_mode(small_config, images):
    devices = jax.devices()
    records = {mode: run_one_epoch(small_config, images, mode, devices)[1] for mode in MODES}
    for name, values in records["jit"].items():
        for mode in ("pmap", "sharded"):
            np.testing.assert_allclose(values, records[mode][name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps_per_call", [1, 2, 5])
def test_result_does_not_depend_on_steps_per_call(small_config, images, steps_per_call):
    devices = jax.devices()[:1]
    whole, _ = run_one_epoch(small_config, images, "jit", devices)
    parts, _ = run_one_epoch(small_config, images, "jit", devices, steps_per_call=steps_per_call)
    assert_same_params(whole, parts, 1e-7)


@pytest.mark.parametrize("mode", MODES)
def test_result_does_not_depend_on_where_the_images_wait(small_config, images, mode):
    devices = jax.devices()
    on_device, _ = run_one_epoch(small_config, images, mode, devices)
    on_disk = ImagesOnDisk.from_parts([np.asarray(images)])
    for kept, cache in ((images, "host"), (on_disk, "none")):
        state, _ = run_one_epoch(small_config, kept, mode, devices, cache=cache, steps_per_call=2)
        assert_same_params(on_device, state, 1e-7)


@pytest.mark.parametrize("mode", MODES)
def test_result_does_not_depend_on_the_parts_that_a_batch_is_computed_in(
    small_config, images, mode
):
    devices = jax.devices()[:2]
    whole, record = run_one_epoch(small_config, images, mode, devices)
    parts, parts_record = run_one_epoch(small_config, images, mode, devices, accumulate=4)
    assert_same_params(whole, parts, 1e-6)
    for name, values in record.items():
        np.testing.assert_allclose(values, parts_record[name], rtol=1e-4, atol=1e-4)


def test_padding_does_not_change_the_result(small_config, images):
    """A batch of 70 and one of 128 with 58 masked rows see the same images."""
    devices = jax.devices()[:1]
    states = []
    for batch_size in (70, 128):
        small_config.train.batch_size = batch_size
        states.append(run_one_epoch(small_config, images, "jit", devices)[0])
    assert_same_params(*states, 1e-6)


def test_drifted_replicas_are_noticed(small_config, images):
    devices = jax.devices()[:2]
    state, _ = run_one_epoch(small_config, images, "pmap", devices)
    sharding = state.step.sharding
    parts = [jax.device_put(np.int32(i), device) for i, device in enumerate(devices)]
    drifted = jax.make_array_from_single_device_arrays((), sharding, parts)
    assert not replicas_agree(state.replace(step=drifted))


def test_pmap_over_more_devices_keeps_the_work_of_each(small_config, images, monkeypatch):
    """A device's share of the batch stays the same, so its compiled program costs the same."""
    flops = []

    def counted(function, **settings):
        mapped = pmap(function, **settings)

        def run(*args):
            # Machine code, which takes long, is not what is counted.
            compiled = mapped.lower(*args).compile({"xla_backend_optimization_level": 0})
            flops.append(compiled.cost_analysis()["flops"])
            return args[0], {}

        return run

    pmap = jax.pmap
    monkeypatch.setattr(jax, "pmap", counted)
    for num_devices in (1, 4):
        small_config.train.batch_size = 8 * num_devices
        run_one_epoch(small_config, images, "pmap", jax.devices()[:num_devices])
    assert len(flops) == 2
    assert flops[0] > 1e5
    np.testing.assert_allclose(flops, flops[0], rtol=0.01)


def test_batch_that_devices_cannot_share_is_refused(small_config):
    recipe = make_recipe(small_config, build_model(small_config), 1)
    with pytest.raises(
        UserError, match="20, which is not divisible by the 8 devices; set it to 16 or 24"
    ):
        make_run_steps(recipe, "pmap", 20, jax.devices())
