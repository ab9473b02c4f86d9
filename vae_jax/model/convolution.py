"""Strided and transposed convolution layers whose gradients are fast on every backend.

On GPU and TPU the layers use JAX's own convolutions; on the CPU they use `strided.py` instead. With every
backend the parameters are the same as those of `nn.Conv` and `nn.ConvTranspose`.

Shapes: B batch, H W image, C input channels, O output channels, k kernel size, s stride.
"""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.model.strided import strided_convolution, transposed_convolution
from vae_jax.runtime.convolutions import choose_convolutions

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _library_strided(x, kernel, stride: int):
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=_LAYOUT)


def _library_transposed(x, kernel, stride: int):
    return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=_LAYOUT)


def _add_bias(y: Float[Array, "B h w O"], bias: Float[Array, "1 1 1 O"]) -> Float[Array, "B h w O"]:
    # The sum is computed in float32, because the gradient of the bias is a sum over all pixels.
    return (y.astype(jnp.float32) + bias).astype(y.dtype)


def _add_bias_backward(_, y):
    """Returns the gradients with respect to y and bias.

    On the CPU a product with ones takes a tenth of the time of a sum over pixels.
    """
    pixels = y.reshape(len(y), -1, y.shape[3])
    ones = jnp.ones((len(y), 1, pixels.shape[1]), y.dtype)
    sums = lax.dot_general(
        ones, pixels, (((2,), (1,)), ((0,), (0,))), preferred_element_type=jnp.float32
    )
    return y, jnp.sum(sums, axis=(0, 1)).reshape(1, 1, 1, -1)


_add_bias_on_cpu = jax.custom_vjp(_add_bias)
_add_bias_on_cpu.defvjp(lambda y, bias: (_add_bias(y, bias), None), _add_bias_backward)


class Backend(NamedTuple):
    """The functions that the layers of one backend call.

    Attributes:
        strided: (x, kernel, stride) -> strided convolution of x with SAME padding.
        transposed: (x, kernel, stride) -> transposed convolution of x with SAME padding.
        add_bias: (y, bias) -> sum of y and bias.
    """

    strided: Callable
    transposed: Callable
    add_bias: Callable


BACKENDS = {
    "cpu": Backend(strided_convolution, transposed_convolution, _add_bias_on_cpu),
    "library": Backend(_library_strided, _library_transposed, _add_bias),
}


def _select_backend(name: str) -> Backend:
    if name == "auto":
        name = choose_convolutions()
    return BACKENDS[name]


class _Layer(nn.Module):
    features: int
    kernel_size: int = 4
    stride: int = 2
    dtype: DTypeLike = jnp.float32
    backend: str = "auto"

    def _parameters(self, channels: int):
        shape = (self.kernel_size, self.kernel_size, channels, self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        return kernel.astype(self.dtype), bias.reshape(1, 1, 1, -1)


class Conv(_Layer):
    """Convolution with SAME padding and bias; it has the same parameters as `nn.Conv`.

    Attributes:
        features: number of output channels O.
        kernel_size: height and width k of the kernel, pixels.
        stride: stride s, pixels.
        dtype: dtype of the products, which are summed in float32; the parameters stay float32.
        backend: "cpu", "library", or "auto", which chooses by the device.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w O"]:
        """Returns an image of ceil(H / s) x ceil(W / s) pixels."""
        kernel, bias = self._parameters(x.shape[3])
        backend = _select_backend(self.backend)
        return backend.add_bias(backend.strided(x.astype(self.dtype), kernel, self.stride), bias)


class ConvTranspose(_Layer):
    """Transposed convolution with SAME padding and bias; it has the same parameters as `nn.ConvTranspose`.

    It has the same attributes as `Conv`.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w O"]:
        """Returns an image of H s x W s pixels."""
        kernel, bias = self._parameters(x.shape[3])
        backend = _select_backend(self.backend)
        return backend.add_bias(backend.transposed(x.astype(self.dtype), kernel, self.stride), bias)
