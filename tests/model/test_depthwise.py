"""Compares the depthwise convolution with the library's grouped convolution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model.depthwise import DepthwiseConv, convolve_image_by_image
from vae_jax.observation.depthwise import convolve_depthwise


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def convolve_in_groups(x, kernel):
    return convolve_depthwise(x, kernel, 1, "library")


def compute_value_and_gradients(function, x, kernel):
    @jax.jit
    def run(x, kernel):
        y, pull = jax.vjp(function, x, kernel)
        return y, *pull(jnp.cos(y.astype(jnp.float32)).astype(y.dtype))

    return run(x, kernel)


@pytest.mark.parametrize("size", [(6, 6), (7, 5), (1, 2)])
def test_values_and_gradients_equal_those_of_a_grouped_convolution(size):
    x, kernel = draw(2, *size, 4), draw(3, 3, 4, seed=1)
    actual = compute_value_and_gradients(convolve_image_by_image, x, kernel)
    expected = compute_value_and_gradients(convolve_in_groups, x, kernel)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_bfloat16_is_close_to_float32_and_keeps_its_dtype():
    x, kernel = (a.astype(jnp.bfloat16) for a in (draw(2, 6, 6, 4), draw(3, 3, 4, seed=1)))
    actual = compute_value_and_gradients(convolve_image_by_image, x, kernel)
    full = [a.astype(jnp.float32) for a in (x, kernel)]
    expected = compute_value_and_gradients(convolve_in_groups, *full)
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == jnp.bfloat16
        limit = 0.02 * float(jnp.abs(b).max())
        np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=0, atol=limit)


def test_gradient_per_example_equals_that_of_a_loop():
    x, kernel = draw(3, 1, 4, 4, 2), draw(3, 3, 2, seed=1)
    gradient = jax.jit(jax.grad(lambda k, x: jnp.sum(jnp.sin(convolve_image_by_image(x, k)))))
    actual = jax.vmap(gradient, (None, 0))(kernel, x)
    expected = jnp.stack([gradient(kernel, image) for image in x])
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_the_layer_adds_a_bias_and_keeps_the_variance():
    x = draw(8, 8, 8, 16)
    layer = DepthwiseConv()
    params = layer.init(jax.random.key(0), x)["params"]
    y = layer.apply({"params": params}, x)
    np.testing.assert_allclose(y, convolve_in_groups(x, params["kernel"]), atol=1e-5)
    assert 0.5 < float(y.var()) < 1.5
    shifted = layer.apply({"params": {**params, "bias": jnp.arange(16.0)}}, x)
    np.testing.assert_allclose(shifted - y, np.broadcast_to(np.arange(16.0), y.shape), atol=1e-5)
