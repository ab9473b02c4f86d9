import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from vae_jax.observation.depthwise import BACKENDS, convolve_depthwise

pytestmark = pytest.mark.usefixtures("quick_compilation")


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [3, 5])
def test_stride_one_is_a_correlation_of_each_channel(backend, size):
    x, kernel = draw(0, (2, 7, 6, 3), (size, size, 3))
    y = convolve_depthwise(x, kernel, 1, backend)
    for image in range(2):
        for channel in range(3):
            expected = correlate(x[image, ..., channel], kernel[..., channel], "same")
            np.testing.assert_allclose(y[image, ..., channel], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("sides", [(8, 8), (7, 8), (1, 5)])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_both_backends_are_equal(size, sides, stride):
    x, kernel = draw(1, (2, *sides, 4), (size, size, 4))
    ours, library = (convolve_depthwise(x, kernel, stride, backend) for backend in BACKENDS)
    np.testing.assert_allclose(ours, library, rtol=0, atol=1e-5)


def test_the_gradients_of_both_backends_are_equal():
    x, kernel = draw(2, (1, 6, 6, 2), (3, 3, 2))
    gradients = [
        jax.grad(lambda *inputs, b=b: (convolve_depthwise(*inputs, 2, b) ** 2).sum(), (0, 1))(
            x, kernel
        )
        for b in BACKENDS
    ]
    for ours, library in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, library, rtol=0, atol=1e-4)
