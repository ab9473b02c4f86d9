"""Compares both backends with flax's own layers, in values and gradients."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vae_jax.model.convolution import BACKENDS, Conv, ConvTranspose
from vae_jax.model.strided import strided_convolution, transposed_convolution

pytestmark = pytest.mark.slow

LAYERS = {Conv: nn.Conv, ConvTranspose: nn.ConvTranspose}
layers = pytest.mark.parametrize("layer", LAYERS)
backends = pytest.mark.parametrize("backend", sorted(BACKENDS))


def make_reference(layer, features, kernel_size, stride):
    sides = (kernel_size, kernel_size)
    return LAYERS[layer](features, sides, strides=(stride, stride), padding="SAME")


def draw(*shape, seed=0):
    """Draws N(0, 1) with NumPy, because JAX compiles a program for each shape that it draws."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def draw_params(kernel_size, channels, features):
    size = kernel_size * kernel_size * channels
    kernel = draw(kernel_size, kernel_size, channels, features, seed=1) / np.float32(size**0.5)
    return {"kernel": kernel, "bias": 0.1 * draw(features, seed=2)}


def compute_value_and_gradients(module, params, x):
    """The output, and the gradients of a weighted sum of it with respect to parameters and input."""

    @jax.jit
    def run(params, x):
        y, pull = jax.vjp(lambda p, x: module.apply({"params": p}, x), params, x)
        # The weights are rounded to bfloat16, so that layers of either precision get the same weights.
        weights = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).astype(jnp.bfloat16)
        return y, pull(weights.reshape(y.shape).astype(y.dtype))

    return run(params, x)


# Kernel size, stride, image size and channels. Image sizes are even, odd, not square, and smaller than the
# kernel; 3 channels are fewer than a processor vector holds, 16 fill it.
CASES = [
    (4, 2, (8, 8), 3),
    (4, 2, (28, 14), 3),
    (4, 2, (9, 30), 3),
    (4, 2, (3, 2), 3),
    (3, 2, (9, 30), 3),
    (5, 2, (28, 14), 3),
    (4, 1, (9, 8), 3),
    (3, 1, (8, 8), 3),
    (5, 1, (9, 14), 3),
    (5, 3, (11, 8), 3),
    (2, 3, (11, 8), 3),
    (1, 2, (7, 8), 3),
    (4, 2, (9, 8), 16),
    (5, 3, (11, 8), 16),
    (2, 3, (11, 8), 16),
]
cases = pytest.mark.parametrize(("kernel_size", "stride", "size", "channels"), CASES)
# The library's convolution treats all sizes alike, so a few cases show that it is called correctly.
LIBRARY_CASES = [(4, 2, (9, 30), 3), (4, 1, (9, 8), 3), (5, 3, (11, 8), 3)]
library_cases = pytest.mark.parametrize(
    ("kernel_size", "stride", "size", "channels"), LIBRARY_CASES
)


def choose_features(channels: int) -> int:
    """Returns few output channels for few input channels: in a gradient they change places."""
    return 16 if channels >= 16 else 5


def check_against_flax(layer, backend, kernel_size, stride, size, channels):
    x, features = draw(2, *size, channels), choose_features(channels)
    params = draw_params(kernel_size, channels, features)
    reference = make_reference(layer, features, kernel_size, stride)
    expected = compute_value_and_gradients(reference, params, x)
    actual = compute_value_and_gradients(
        layer(features, kernel_size, stride, backend=backend), params, x
    )
    # Gradients sum hundreds of terms, so 1e-5 is relative to the largest value of each array.
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(jnp.abs(b).max()))


@layers
@cases
def test_cpu_backend_equals_flax_in_values_and_gradients(
    layer, kernel_size, stride, size, channels
):
    check_against_flax(layer, "cpu", kernel_size, stride, size, channels)


@layers
@library_cases
def test_library_backend_equals_flax_in_values_and_gradients(
    layer, kernel_size, stride, size, channels
):
    check_against_flax(layer, "library", kernel_size, stride, size, channels)


@layers
def test_initial_parameters_equal_those_of_flax(layer):
    x = jnp.zeros((1, 8, 8, 3))
    actual, expected = (
        jax.jit(module.init)(jax.random.key(0), x)
        for module in (layer(5, 4, 2), make_reference(layer, 5, 4, 2))
    )
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@layers
@backends
def test_bfloat16_products_are_summed_in_float32(layer, backend):
    """With sums in bfloat16, 4,096 ones would stop growing at 256."""
    x = jnp.ones((1, 8, 8, 1024), jnp.bfloat16)
    module = layer(1, 2, 2, jnp.bfloat16, backend)
    params = {"kernel": jnp.ones((2, 2, 1024, 1)), "bias": jnp.zeros(1)}
    y = module.apply({"params": params}, x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, 4096.0 if layer is Conv else 1024.0)


@layers
@backends
@pytest.mark.parametrize(
    ("kernel_size", "stride", "size", "channels"), [(4, 2, (16, 14), 8), (5, 3, (11, 8), 16)]
)
def test_bfloat16_is_close_to_float32_and_its_gradients_are_float32(
    layer, backend, kernel_size, stride, size, channels
):
    # The input is rounded to bfloat16, so that only the computation differs.
    x = draw(2, *size, channels).astype(jnp.bfloat16).astype(jnp.float32)
    features = choose_features(channels)
    params = draw_params(kernel_size, channels, features)
    half, full = (
        compute_value_and_gradients(layer(features, kernel_size, stride, dtype, backend), params, x)
        for dtype in (jnp.bfloat16, jnp.float32)
    )
    for a, b in zip(jax.tree.leaves(half[1]), jax.tree.leaves(full[1]), strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=0, atol=0.02 * float(jnp.abs(b).max()))
    difference = half[0].astype(jnp.float32) - full[0]
    assert float(jnp.abs(difference).max()) < 0.02 * float(jnp.abs(full[0]).max())


CORES = pytest.mark.parametrize("core", [strided_convolution, transposed_convolution])


def library_function(core):
    library = BACKENDS["library"]
    return library.strided if core is strided_convolution else library.transposed


@layers
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradient_per_example_equals_that_of_a_loop(layer, dtype):
    x = draw(3, 1, 8, 8, 2)
    module = layer(3, 4, 2, dtype, "cpu")
    params = draw_params(4, 2, 3)
    gradient = jax.jit(
        jax.grad(lambda p, x: jnp.sum(jnp.sin(module.apply({"params": p}, x).astype(jnp.float32))))
    )
    actual = jax.jit(jax.vmap(gradient, (None, 0)))(params, x)
    expected = jax.tree.map(lambda *g: jnp.stack(g), *(gradient(params, image) for image in x))
    tolerance = 1e-5 if dtype == jnp.float32 else 2**-6
    for name in params:
        np.testing.assert_allclose(actual[name], expected[name], rtol=tolerance, atol=tolerance)


@CORES
def test_gradient_inside_scan_equals_that_outside(core):
    x, kernel = draw(3, 2, 8, 8, 2), draw(4, 4, 2, 3, seed=1)
    gradient = jax.jit(jax.grad(lambda k, x: jnp.sum(jnp.sin(core(x, k, 2)))))
    _, actual = jax.jit(lambda k: lax.scan(lambda k, images: (k, gradient(k, images)), k, x))(
        kernel
    )
    expected = jnp.stack([gradient(kernel, images) for images in x])
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@layers
@backends
def test_bfloat16_gradients_are_summed_in_float32(layer, backend):
    """With sums in bfloat16, 4,096 ones would stop growing at 256."""
    x = jnp.ones((1, 128, 128, 16), jnp.bfloat16) / 16
    module = layer(16, 2, 2, jnp.bfloat16, backend)
    params = {"kernel": jnp.ones((2, 2, 16, 16)), "bias": jnp.zeros(16)}
    compute_gradient = jax.grad(
        lambda p: jnp.sum(module.apply({"params": p}, x).astype(jnp.float32))
    )
    gradient = jax.jit(compute_gradient)(params)
    num_positions = 64 * 64 if layer is Conv else 256 * 256
    np.testing.assert_array_equal(gradient["bias"], num_positions)
    np.testing.assert_array_equal(
        gradient["kernel"], 64 * 64 / 16 if layer is Conv else 128 * 128 / 16
    )


def differentiate_image_gradient(core, x, kernel):
    """Returns the kernel gradient of a function of the image gradient."""
    image_gradient = jax.grad(lambda x, k: jnp.sum(jnp.sin(core(x, k, 2).astype(jnp.float32))))

    def loss(k):
        return jnp.sum(jnp.sin(image_gradient(x, k).astype(jnp.float32)))

    return jax.jit(jax.grad(loss))(kernel)


@CORES
def test_second_derivative_equals_that_of_the_library(core):
    x, kernel = draw(1, 4, 4, 1), draw(4, 4, 1, 2, seed=1)
    actual, expected = (
        differentiate_image_gradient(function, x, kernel)
        for function in (core, library_function(core))
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


@CORES
def test_derivatives_of_the_kernel_gradient_equal_those_of_the_library(core):
    """In bfloat16 numbers are copied as integers, which have no derivatives of their own."""
    x, kernel = draw(1, 4, 4, 16), 0.1 * draw(4, 4, 16, 2, seed=1)

    def differentiate_kernel_gradient(core, x):
        slope = jax.grad(lambda k, x: jnp.sum(jnp.sin(core(x, k, 2).astype(jnp.float32))))

        def loss(x):
            return jnp.sum(jnp.square(slope(kernel.astype(x.dtype), x)))

        return jax.jit(jax.grad(loss))(x)

    expected = differentiate_kernel_gradient(library_function(core), x)
    for dtype, tolerance in ((jnp.float32, 1e-5), (jnp.bfloat16, 0.03)):
        actual = differentiate_kernel_gradient(core, x.astype(dtype)).astype(jnp.float32)
        limit = tolerance * float(jnp.abs(expected).max())
        np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)
