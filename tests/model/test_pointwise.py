"""Compares the 1x1 convolution with flax's dense layer."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model.pointwise import Pointwise, multiply_rows, repeat_row

pytestmark = pytest.mark.usefixtures("quick_compilation")


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def draw_params():
    return {"kernel": draw(5, 6, seed=1), "bias": draw(6, seed=2)}


def compute_value_and_gradients(layer, params, x):
    @jax.jit
    def run(params, x):
        y, pull = jax.vjp(lambda p, x: layer.apply({"params": p}, x), params, x)
        weights = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return y, pull(weights.astype(y.dtype))

    return run(params, x)


def test_initial_parameters_values_and_gradients_equal_those_of_a_dense_layer():
    x = draw(2, 3, 4, 5)
    layers = Pointwise(6), nn.Dense(6)
    initial = [layer.init(jax.random.key(0), x) for layer in layers]
    jax.tree.map(np.testing.assert_array_equal, *initial)
    actual, expected = (compute_value_and_gradients(layer, draw_params(), x) for layer in layers)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), actual, expected
    )


def test_bfloat16_is_close_to_float32_and_its_gradients_are_float32():
    x = draw(2, 3, 4, 5)
    half, full = (
        compute_value_and_gradients(Pointwise(6, dtype), draw_params(), x)
        for dtype in (jnp.bfloat16, jnp.float32)
    )
    assert half[0].dtype == jnp.bfloat16
    for a, b in zip(jax.tree.leaves(half), jax.tree.leaves(full), strict=True):
        limit = 0.02 * float(jnp.abs(b).max())
        np.testing.assert_allclose(a.astype(jnp.float32), b, rtol=0, atol=limit)
    assert all(gradient.dtype == jnp.float32 for gradient in jax.tree.leaves(half[1]))


def test_bfloat16_gradients_are_summed_in_float32():
    """With sums in bfloat16, 4,096 ones would stop growing at 256."""
    ones = jnp.ones((4096, 1), jnp.bfloat16)
    _, pull = jax.vjp(multiply_rows, ones, ones[:1], jnp.zeros((1, 1)))
    _, of_kernel, of_bias = pull(ones)
    assert float(of_kernel[0, 0]) == float(of_bias[0, 0]) == 4096


def test_gradient_per_example_equals_that_of_a_loop():
    x, params = draw(3, 1, 2, 2, 5), draw_params()
    gradient = jax.jit(
        jax.grad(lambda p, x: jnp.sum(jnp.sin(Pointwise(6).apply({"params": p}, x))))
    )
    actual = jax.vmap(gradient, (None, 0))(params, x)
    expected = jax.tree.map(lambda *g: jnp.stack(g), *(gradient(params, image) for image in x))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), actual, expected
    )


def test_repeated_rows_and_their_gradient_equal_those_of_a_broadcast():
    row, weights = draw(1, 6), draw(7, 6, seed=1)
    actual, pull = jax.vjp(lambda row: repeat_row(row, 7), row)
    np.testing.assert_array_equal(actual, np.broadcast_to(row, (7, 6)))
    np.testing.assert_allclose(pull(weights)[0], weights.sum(axis=0, keepdims=True), rtol=1e-5)
