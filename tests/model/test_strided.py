import jax.numpy as jnp
import numpy as np

from vae_jax.model.strided import strided_convolution, transposed_convolution


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def test_transposed_convolution_is_the_transpose_of_strided_convolution():
    """<conv(x), y> = <x, conv_t(y)>, where conv_t gets the flipped kernel with its channels swapped."""
    x, y, kernel = draw(2, 12, 12, 3), draw(2, 6, 6, 5, seed=1), draw(4, 4, 3, 5, seed=2)
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    left = jnp.vdot(strided_convolution(x, kernel, 2), y)
    right = jnp.vdot(x, transposed_convolution(y, flipped, 2))
    np.testing.assert_allclose(left, right, rtol=1e-4)
