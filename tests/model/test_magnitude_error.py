import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model.objective import magnitude_error


def images(key, side=8):
    return jax.random.uniform(jax.random.key(key), (3, side, side, 2))


def test_against_numpy():
    x, y = np.asarray(images(0), np.float64), np.asarray(images(1), np.float64)
    by_hand = np.square(
        np.abs(np.fft.fft2(x, axes=(1, 2))) / 8 - np.abs(np.fft.fft2(y, axes=(1, 2))) / 8
    )
    np.testing.assert_allclose(magnitude_error(images(0), images(1)), by_hand, atol=1e-5)


def test_a_shifted_texture_has_no_error():
    x = images(0)
    np.testing.assert_allclose(magnitude_error(x, jnp.roll(x, (2, 3), axis=(1, 2))), 0, atol=1e-9)


def test_its_sum_is_at_most_the_squared_error_over_pixels():
    x, y = images(0), images(1)
    squared = jnp.sum(jnp.square(x - y), axis=(1, 2, 3))
    assert np.all(jnp.sum(magnitude_error(x, y), axis=(1, 2, 3)) <= squared)


@pytest.mark.parametrize("times", [2, 4])
def test_its_mean_does_not_depend_on_the_size_of_the_image(times):
    """The same texture over a larger image: its energy stands in fewer, taller peaks."""
    x, y = images(0), images(1)
    tiled = [jnp.tile(image, (1, times, times, 1)) for image in (x, y)]
    small, large = (jnp.mean(magnitude_error(*pair), axis=(1, 2, 3)) for pair in ((x, y), tiled))
    np.testing.assert_allclose(small, large, rtol=1e-4)


def test_its_gradient_is_finite_where_the_spectrum_is_zero():
    gradient = jax.grad(lambda y: jnp.sum(magnitude_error(jnp.zeros_like(y), y)))(
        jnp.ones((1, 8, 8, 1))
    )
    assert np.all(np.isfinite(gradient))
