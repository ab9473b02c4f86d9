"""A depthwise 3x3 convolution layer whose gradients are fast on every backend.

`vae_jax/observation/depthwise.py` computes the values: on the CPU as a sum of nine shifted products,
elsewhere by JAX's own convolution. This module adds the gradients for the CPU, in reverse mode only. The
gradient with respect to the image is such a convolution again; that of the kernel sums products of the same
shifted images. Loops over the images keep XLA from computing their operands again for each of the nine.

Shapes: B batch, H W image, C channels.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.observation.depthwise import convolve_depthwise
from vae_jax.runtime.convolutions import choose_convolutions

_TAPS = [(i, j) for i in range(3) for j in range(3)]


def _convolve_one(x, kernel):
    """Returns the convolution of one image [H W C], float32."""
    x, kernel = x.astype(jnp.float32), kernel.astype(jnp.float32)
    return convolve_depthwise(x[None], kernel, 1, "cpu")[0]


@jax.custom_vjp
def convolve_image_by_image(
    x: Float[Array, "B H W C"], kernel: Float[Array, "3 3 C"]
) -> Float[Array, "B H W C"]:
    """Returns y[p, c] = sum_ij x[p + (i, j) - 1, c] kernel[i, j, c], summed in float32.

    It has SAME padding, and its gradients are fast on the CPU.
    """
    return lax.map(lambda x: _convolve_one(x, kernel).astype(x.dtype), x)


def _forward(x, kernel):
    return convolve_image_by_image(x, kernel), (x, kernel)


def _backward(saved, y):
    x, kernel = saved
    rows, columns, channels = x.shape[1:]
    flipped = kernel[::-1, ::-1]

    def add(sums, operands):
        x, y = operands
        padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0))).astype(jnp.float32)
        weights = y.astype(jnp.float32)
        sums = tuple(
            total + padded[i : i + rows, j : j + columns] * weights
            for total, (i, j) in zip(sums, _TAPS, strict=True)
        )
        return sums, _convolve_one(y, flipped).astype(x.dtype)

    start = tuple(jnp.zeros((rows, columns, channels), jnp.float32) for _ in _TAPS)
    sums, of_x = lax.scan(add, start, (x, y))
    # A product with ones takes less time than a sum over pixels.
    ones = jnp.ones((1, rows * columns), jnp.float32)
    of_kernel = jnp.concatenate([ones @ total.reshape(-1, channels) for total in sums])
    return of_x, of_kernel.reshape(kernel.shape).astype(kernel.dtype)


convolve_image_by_image.defvjp(_forward, _backward)


class DepthwiseConv(nn.Module):
    """Depthwise 3x3 convolution with SAME padding and bias.

    Attributes:
        dtype: dtype of input and output; the products are summed in float32.
    """

    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns an image of the same shape."""
        channels = x.shape[3]
        # Nine numbers are summed for each output, so their variance is 1 / 9, as in `lecun_normal`.
        initializer = nn.initializers.truncated_normal(1 / 3)
        kernel = self.param("kernel", initializer, (3, 3, channels), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        on_cpu = choose_convolutions() == "cpu"
        x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
        y = convolve_image_by_image(x, kernel) if on_cpu else convolve_depthwise(x, kernel, 1)
        return y + bias.astype(self.dtype).reshape(1, 1, 1, -1)
