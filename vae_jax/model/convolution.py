"""Strided and transposed convolution as matrix products, which XLA's CPU backend runs fast both ways.

XLA on the CPU takes a slow path for the gradients of strided and transposed convolutions. A stride-s
convolution is exactly a stride-1 one on the image with s x s pixels folded into channels, and a
stride-1 convolution is a matrix product over shifted copies: no dilation anywhere, so the gradient is
two matrix products too. On GPU and TPU the library convolution is right. Parameters are those of
`nn.Conv` and `nn.ConvTranspose`, whatever the backend.

B batch, H W image, C channels in, O channels out, k kernel, s stride, t = ceil(k / s) taps of s pixels.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def strided_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Equals `lax.conv_general_dilated` with SAME padding, as one matrix product."""
    size, taps = kernel.shape[0], math.ceil(kernel.shape[0] / stride)
    height, width = (math.ceil(n / stride) for n in x.shape[1:3])
    pads = [_same_padding(n, size, stride, taps) for n in x.shape[1:3]]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*p, 0) for p in pads), (0, 0, 0)])
    x = _space_to_depth(x, stride)
    fill = taps * stride - size
    kernel = jnp.pad(kernel, ((0, fill), (0, fill), (0, 0), (0, 0)))
    kernel = _fold_kernel(kernel, stride, taps)  # [t t (s s C), O]
    return _product(_patches(x, taps, height, width), kernel)


def transposed_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Equals `lax.conv_transpose` with SAME padding: every s x s block from the t x t inputs near it."""
    size, taps = kernel.shape[0], math.ceil(kernel.shape[0] / stride)
    _, height, width, channels = x.shape
    outputs = kernel.shape[3]
    # Input i reaches outputs i s + j - crop for j in 0 .. k - 1, with the kernel read backwards.
    crop = _transposed_crop(size, stride)
    fill = taps * stride - size
    kernel = jnp.pad(kernel[::-1, ::-1], ((0, fill), (0, fill), (0, 0), (0, 0)))
    # Block b gets from input b - a what the a-th tap says; patches run the other way round.
    kernel = kernel.reshape(taps, stride, taps, stride, channels, outputs)[::-1, :, ::-1]
    kernel = kernel.transpose(0, 2, 4, 1, 3, 5).reshape(-1, stride * stride * outputs)
    edge = (taps - 1, taps - 1, 0)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), edge, edge, (0, 0, 0)])
    y = _product(_patches(x, taps, height + taps - 1, width + taps - 1), kernel)
    y = _depth_to_space(y, stride)
    # A kernel narrower than the stride leaves pixels that no input reaches; they lie inside the blocks.
    return y[:, crop : crop + height * stride, crop : crop + width * stride]


def _same_padding(length: int, size: int, stride: int, taps: int) -> tuple[int, int]:
    outputs = math.ceil(length / stride)
    low = max((outputs - 1) * stride + size - length, 0) // 2
    return low, (outputs + taps - 1) * stride - length - low


def _transposed_crop(size: int, stride: int) -> int:
    total = size + stride - 2
    low = size - 1 if stride > size - 1 else math.ceil(total / 2)
    return size - 1 - low


def _space_to_depth(x, s: int):
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // s, s, width // s, s, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, height // s, width // s, -1)


def _depth_to_space(y, s: int):
    batch, height, width, _ = y.shape
    y = y.reshape(batch, height, width, s, s, -1).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(batch, height * s, width * s, -1)


def _fold_kernel(kernel, s: int, taps: int):
    channels, outputs = kernel.shape[2:]
    kernel = kernel.reshape(taps, s, taps, s, channels, outputs)
    return kernel.transpose(0, 2, 1, 3, 4, 5).reshape(-1, outputs)


def _patches(x, taps: int, height: int, width: int):
    """Every t x t neighbourhood side by side in the channels."""
    shifted = [x[:, i : i + height, j : j + width] for i in range(taps) for j in range(taps)]
    return shifted[0] if taps == 1 else jnp.concatenate(shifted, axis=3)


def _product(x, kernel):
    return lax.dot_general(
        x, kernel, (((3,), (0,)), ((), ())), preferred_element_type=jnp.float32
    ).astype(x.dtype)


def _library_strided(x, kernel, stride: int):
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=_LAYOUT)


def _library_transposed(x, kernel, stride: int):
    return lax.conv_transpose(x, kernel, (stride, stride), "SAME", dimension_numbers=_LAYOUT)


BACKENDS = {
    "matmul": (strided_convolution, transposed_convolution),
    "library": (_library_strided, _library_transposed),
}


def _functions(backend: str):
    if backend == "auto":
        backend = "matmul" if jax.default_backend() == "cpu" else "library"
    return BACKENDS[backend]


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
    """Convolution with SAME padding and bias; the parameters are those of `nn.Conv`.

    Attributes:
        features: channels out, O.
        kernel_size: k, pixels.
        stride: s, pixels.
        dtype: of the products, which are summed in float32; parameters stay float32.
        backend: "matmul", "library", or "auto": matmul on the CPU, library elsewhere.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w O"]:
        """Returns ceil(H / s) x ceil(W / s) pixels."""
        kernel, bias = self._parameters(x.shape[3])
        y = _functions(self.backend)[0](x.astype(self.dtype), kernel, self.stride)
        # In float32, because the gradient of the bias is a sum over all pixels.
        return (y.astype(jnp.float32) + bias).astype(self.dtype)


class ConvTranspose(_Layer):
    """Transposed convolution with SAME padding and bias; the parameters are those of `nn.ConvTranspose`.

    Attributes: as `Conv`.
    """

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B h w O"]:
        """Returns H s x W s pixels."""
        kernel, bias = self._parameters(x.shape[3])
        y = _functions(self.backend)[1](x.astype(self.dtype), kernel, self.stride)
        # In float32, because the gradient of the bias is a sum over all pixels.
        return (y.astype(jnp.float32) + bias).astype(self.dtype)
