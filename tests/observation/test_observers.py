import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.observation import bands, features
from vae_jax.observation.data_package import is_installed
from vae_jax.observation.observers import make_observers
from vae_jax.observation.shapes import list_shapes

needs_weights = pytest.mark.skipif(not is_installed(), reason="needs the extra `features`")


def make_config(**fields):
    model_config = default().model
    model_config.observations = ("bands",)
    model_config.band_size = 32
    model_config.update(fields)
    return model_config


def observe(observer, images):
    return jax.device_get(observer.compute(images))


def draw_images(count=3):
    return np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)


def test_bands_are_those_of_the_image_in_the_unit_interval_and_half_precise():
    (observer,) = make_observers(make_config())
    images = draw_images()
    (values,) = observe(observer, images).values()
    expected = bands.compute_bands(jnp.asarray(images / np.float32(255)), 32)
    assert (observer.name, values.dtype) == ("bands", np.float16)
    np.testing.assert_allclose(values, expected, rtol=2e-3, atol=2e-3)


@needs_weights
@pytest.mark.slow
def test_an_observer_of_features_also_has_the_pooled_features():
    model_config = make_config(observations=("features",), feature_size=64, grid=4)
    (observer,) = make_observers(model_config)
    values = observe(observer, draw_images(2))
    assert {name: (array.shape, array.dtype) for name, array in values.items()} == {
        "features": ((2, 4, 4, features.NUM_CHANNELS), np.dtype(np.float16)),
        "pooled": ((2, 2, features.NUM_POOLED), np.dtype(np.float16)),
    }
    assert all(np.isfinite(array).all() for array in values.values())


def test_the_key_changes_with_what_changes_the_values_and_with_nothing_else():
    def find_key(**fields):
        return make_observers(make_config(**fields))[0].key

    key = find_key()
    assert find_key(band_latent_dim=7, augmented_copies=3, grid=3) == key
    assert find_key(band_size=40) != key


@needs_weights
def test_the_key_of_features_changes_with_size_and_grid_and_not_with_the_projection():
    def find_key(**fields):
        return make_observers(make_config(observations=("features",), **fields))[0].key

    keys = [find_key(), find_key(feature_size=64), find_key(grid=7)]
    assert len(set(keys)) == 3
    assert find_key(feature_channels=20) == keys[0]


def test_pixels_have_no_observer():
    assert make_observers(make_config(observations=("pixels",))) == []


@pytest.mark.parametrize("size", [32, 40, 60])
def test_the_shape_of_bands_is_that_of_the_config(size):
    model_config = make_config(band_size=size)
    (observer,) = make_observers(model_config)
    cells, channels = list_shapes(model_config)["bands"]
    assert observe(observer, draw_images())["bands"].shape == (3, cells, cells, channels)
