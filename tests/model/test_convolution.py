"""Both backends against flax's own layers, in value and gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vae_jax.model import kernel_gradient
from vae_jax.model.convolution import BACKENDS, Conv, ConvTranspose
from vae_jax.model.strided import strided_convolution, transposed_convolution

LAYERS = {Conv: nn.Conv, ConvTranspose: nn.ConvTranspose}
layers = pytest.mark.parametrize("layer", LAYERS)
backends = pytest.mark.parametrize("backend", sorted(BACKENDS))


def _reference(layer, features, kernel_size, stride):
    sides = (kernel_size, kernel_size)
    return LAYERS[layer](features, sides, strides=(stride, stride), padding="SAME")


def _value_and_gradients(module, params, x):
    """The output, and the gradient of a weighted sum of it for parameters and input."""

    @jax.jit
    def run(params, x):
        y, pull = jax.vjp(lambda p, x: module.apply({"params": p}, x), params, x)
        # Rounded first, so that layers of either precision get the very same weights.
        weights = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).astype(jnp.bfloat16)
        return y, pull(weights.reshape(y.shape).astype(y.dtype))

    return run(params, x)


def _input(*shape):
    return jax.random.normal(jax.random.key(1), shape)


# Kernel and stride, with sizes that are even, odd, not square, and smaller than the kernel, and channels
# too few to fill a vector or enough.
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


def _features(channels: int) -> int:
    """Of the output: few or enough as well, as a gradient walks the layer the other way."""
    return 16 if channels >= 16 else 5


@layers
@backends
@cases
def test_equals_flax_in_value_and_gradient(layer, backend, kernel_size, stride, size, channels):
    x, features = _input(2, *size, channels), _features(channels)
    ours = layer(features, kernel_size, stride, backend=backend)
    theirs = _reference(layer, features, kernel_size, stride)
    params = theirs.init(jax.random.key(0), x)["params"]
    params["bias"] = params["bias"] + 0.1
    expected = _value_and_gradients(theirs, params, x)
    got = _value_and_gradients(ours, params, x)
    # Gradients sum hundreds of terms, so 1e-5 is relative to the largest of each array.
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * float(jnp.abs(b).max()))


@layers
@backends
def test_parameters_are_those_that_flax_draws(layer, backend):
    x = _input(1, 8, 8, 3)
    ours = layer(5, 4, 2, backend=backend).init(jax.random.key(0), x)
    theirs = _reference(layer, 5, 4, 2).init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


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
    ("kernel_size", "stride", "size", "channels"), [(4, 2, (16, 14), 8), *CASES[-3:]]
)
def test_bfloat16_is_near_float32_and_its_gradients_are_float32(
    layer, backend, kernel_size, stride, size, channels
):
    # Rounded, so that only what happens inside differs.
    x = _input(2, *size, channels).astype(jnp.bfloat16).astype(jnp.float32)
    half, full = (
        layer(_features(channels), kernel_size, stride, dtype, backend)
        for dtype in (jnp.bfloat16, jnp.float32)
    )
    params = full.init(jax.random.key(0), x)["params"]
    got, want = (_value_and_gradients(module, params, x) for module in (half, full))
    for a, b in zip(jax.tree.leaves(got[1]), jax.tree.leaves(want[1]), strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=0, atol=0.02 * float(jnp.abs(b).max()))
    difference = got[0].astype(jnp.float32) - want[0]
    assert float(jnp.abs(difference).max()) < 0.02 * float(jnp.abs(want[0]).max())


CORES = pytest.mark.parametrize("core", [strided_convolution, transposed_convolution])


def _of_library(core):
    library = BACKENDS["library"]
    return library.strided if core is strided_convolution else library.transposed


@layers
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradient_per_example_is_that_of_a_loop(layer, dtype):
    x = _input(3, 1, 8, 8, 2)
    module = layer(3, 4, 2, dtype, "cpu")
    params = module.init(jax.random.key(0), x[0])["params"]
    gradient = jax.grad(
        lambda p, x: jnp.sum(jnp.sin(module.apply({"params": p}, x).astype(jnp.float32)))
    )
    got = jax.vmap(gradient, (None, 0))(params, x)
    want = jax.tree.map(lambda *g: jnp.stack(g), *(gradient(params, one) for one in x))
    tolerance = 1e-5 if dtype == jnp.float32 else 2**-6
    for name in params:
        np.testing.assert_allclose(got[name], want[name], rtol=tolerance, atol=tolerance)


@CORES
def test_runs_inside_scan_as_outside(core):
    x, kernel = _input(3, 2, 8, 8, 2), _input(4, 4, 2, 3)
    gradient = jax.grad(lambda k, x: jnp.sum(jnp.sin(core(x, k, 2))))
    _, got = jax.jit(lambda k: lax.scan(lambda k, one: (k, gradient(k, one)), k, x))(kernel)
    want = jnp.stack([gradient(kernel, one) for one in x])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@CORES
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_kernel_gradient_does_not_depend_on_how_many_images_a_step_sums(core, dtype, monkeypatch):
    x, kernel = _input(6, 8, 8, 2).astype(dtype), _input(4, 4, 2, 3).astype(dtype)
    gradient = jax.grad(lambda k: jnp.sum(core(x, k, 2).astype(jnp.float32) ** 2))
    whole = gradient(kernel)
    tolerance = 1e-5 if dtype == jnp.float32 else 2**-8
    for step in (1, 2, 4):  # the last one leaves two images over
        monkeypatch.setattr(kernel_gradient, "_images_per_step", lambda *_, step=step: step)
        np.testing.assert_allclose(gradient(kernel), whole, rtol=tolerance, atol=1e-4)


@pytest.mark.parametrize(
    ("batch", "numbers", "limit", "want"), [(64, 6_400, 800, 8), (64, 6_400, 900, 8), (61, 610, 200, 16),
     (4, 400, 1_000, 4), (5, 5_000, 10, 1)],
)  # fmt: skip
def test_steps_are_even_and_within_the_limit(batch, numbers, limit, want):
    assert kernel_gradient._images_per_step(batch, numbers, limit) == want


@layers
@backends
def test_gradients_in_bfloat16_are_summed_in_float32(layer, backend):
    """With sums in bfloat16, 4,096 ones would stop growing at 256."""
    x = jnp.ones((1, 128, 128, 16), jnp.bfloat16) / 16
    module = layer(16, 2, 2, jnp.bfloat16, backend)
    params = {"kernel": jnp.ones((2, 2, 16, 16)), "bias": jnp.zeros(16)}
    loss = jax.grad(lambda p: jnp.sum(module.apply({"params": p}, x).astype(jnp.float32)))
    gradient = loss(params)
    num_places = 64 * 64 if layer is Conv else 256 * 256
    np.testing.assert_array_equal(gradient["bias"], num_places)
    np.testing.assert_array_equal(
        gradient["kernel"], 64 * 64 / 16 if layer is Conv else 128 * 128 / 16
    )


def _of_gradient(core, x, kernel):
    """The gradient for the kernel of a function of the gradient for the image."""
    slope = jax.grad(lambda x, k: jnp.sum(jnp.sin(core(x, k, 2).astype(jnp.float32))))
    return jax.grad(lambda k: jnp.sum(jnp.sin(slope(x, k).astype(jnp.float32))))(kernel)


@CORES
def test_second_derivative_is_that_of_the_library(core):
    x, kernel = _input(1, 4, 4, 1), _input(4, 4, 1, 2)
    library = _of_library(core)
    got, want = (_of_gradient(function, x, kernel) for function in (core, library))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@CORES
def test_derivatives_of_the_kernel_gradient_are_those_of_the_library(core):
    """In either precision; the copies of bits that bfloat16 takes have no derivatives of their own."""
    library = _of_library(core)
    x, kernel = _input(1, 4, 4, 16), 0.1 * _input(4, 4, 16, 2)

    def curvature(core, x):
        slope = jax.grad(lambda k, x: jnp.sum(jnp.sin(core(x, k, 2).astype(jnp.float32))))
        return jax.grad(lambda x: jnp.sum(jnp.square(slope(kernel.astype(x.dtype), x))))(x)

    want = curvature(library, x)
    for dtype, tolerance in ((jnp.float32, 1e-5), (jnp.bfloat16, 0.03)):
        got = curvature(core, x.astype(dtype)).astype(jnp.float32)
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * float(jnp.abs(want).max()))


def test_transposed_is_the_transpose_of_strided():
    """<conv(x), y> = <x, conv_t(y)>, once the kernel is turned round and its channels swapped."""
    x, y, kernel = _input(2, 12, 12, 3), _input(2, 6, 6, 5), _input(4, 4, 3, 5)
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    left = jnp.vdot(strided_convolution(x, kernel, 2), y)
    right = jnp.vdot(x, transposed_convolution(y, turned, 2))
    np.testing.assert_allclose(left, right, rtol=1e-4)
