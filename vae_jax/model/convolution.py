"""Strided and transposed convolution whose gradients are fast on every backend.

XLA's CPU backend runs a forward convolution well, but the gradients of a strided one dilate an operand,
which takes a slow path. Here nothing is dilated. The transpose of a stride-s convolution is a stride-1
one that writes s x s pixels into channels, and the gradient of the kernel is a matrix product with
patches. Both kinds of layer are the same pair of linear maps, walked in opposite directions:

    gather   y[p]  = sum_j x[s p + j - low] K[j]            a strided convolution
    scatter  x[i]  = sum_{p, j: s p + j - low = i} y[p] K[j]^T      its transpose

On GPU and TPU the library's own convolutions are right. Parameters are those of `nn.Conv` and
`nn.ConvTranspose`, whatever the backend. The matmul backend has gradients of any order in reverse mode
only; forward mode (`jax.jvp`, `jax.jacfwd`) needs the library backend.

B batch, H W image, C channels in, O channels out, k kernel, s stride, t = ceil(k / s) taps of s pixels.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

_LAYOUT = ("NHWC", "HWIO", "NHWC")
# Numbers in the patches of one block: 4 MB in float32, which a core's cache nearly holds.
_BLOCK = 2**20


def strided_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Equals `lax.conv_general_dilated` with SAME padding."""
    size = kernel.shape[0]
    sides = tuple(math.ceil(n / stride) for n in x.shape[1:3])
    excess = [(p - 1) * stride + size - n for p, n in zip(sides, x.shape[1:3], strict=True)]
    return _gather(x, kernel, stride, tuple(max(e, 0) // 2 for e in excess), sides)


def transposed_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Equals `lax.conv_transpose` with SAME padding, which reads the kernel backwards."""
    size = kernel.shape[0]
    low = size - 1 - min(size - 1, math.ceil((size + stride - 2) / 2))
    sides = tuple(n * stride for n in x.shape[1:3])
    return _scatter(x, kernel[::-1, ::-1].swapaxes(2, 3), stride, (low, low), sides)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _gather(x, kernel, stride: int, low: tuple[int, int], sides: tuple[int, int]):
    """x [B H W C] -> y [B *sides O]."""
    pads = _pads(x.shape[1:3], kernel.shape[0], stride, low, sides)
    return _convolve(x, kernel, stride, pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _scatter(y, kernel, stride: int, low: tuple[int, int], sides: tuple[int, int]):
    """y [B h w O] -> x [B *sides C]: each s x s block of pixels from the t x t places that reach it."""
    size, _, channels, outputs = kernel.shape
    batch, *places, _ = y.shape
    taps = math.ceil(size / stride)
    fill = taps * stride - size
    kernel = jnp.pad(kernel, ((0, fill), (0, fill), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps, stride, taps, stride, channels, outputs)[::-1, :, ::-1]
    kernel = kernel.transpose(0, 2, 5, 1, 3, 4).reshape(taps, taps, outputs, -1)
    # A pixel past the last block is reached by nothing; padding on the right gives it zeros.
    blocks = [max(n + taps - 1, math.ceil((a + m) / stride))
              for n, a, m in zip(places, low, sides, strict=True)]  # fmt: skip
    pads = [(taps - 1, b - n) for b, n in zip(blocks, places, strict=True)]
    x = _convolve(y, kernel, 1, pads).reshape(batch, *blocks, stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, *(b * stride for b in blocks), channels)
    return x[:, low[0] : low[0] + sides[0], low[1] : low[1] + sides[1]]


def _kernel_gradient(x, y, size: int, stride: int, low: tuple[int, int]):
    """sum_p x[s p + j - low] y[p]^T, [k k C O] in float32, whichever of the two is the cotangent.

    The patches are made block by block, so that they are still in the cache when they are multiplied,
    and never lie in memory all at once. The product is written y^T patches because XLA runs that order
    faster than its transpose.
    """
    batch, *_, channels = x.shape
    _, height, width, outputs = y.shape
    pads = _pads(x.shape[1:3], size, stride, low, (height, width))
    limit = max(1, _BLOCK // (height * width * size * size * channels))
    block = max(n for n in range(1, batch + 1) if batch % n == 0 and n <= limit)

    def add_block(total, pair):
        x, y = pair
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*p, 0) for p in pads), (0, 0, 0)])
        rows, columns = ((n - 1) * stride + 1 for n in (height, width))
        patches = jnp.concatenate(
            [
                x[:, i : i + rows : stride, j : j + columns : stride]
                for i in range(size)
                for j in range(size)
            ],
            axis=3,
        )
        product = lax.dot_general(
            y, patches, (((0, 1, 2), (0, 1, 2)), ((), ())), preferred_element_type=jnp.float32
        )
        return total + product, None

    blocks = tuple(a.reshape(batch // block, block, *a.shape[1:]) for a in (x, y))
    start = jnp.zeros((outputs, size * size * channels), jnp.float32)
    total, _ = lax.scan(add_block, start, blocks)
    return total.reshape(outputs, size, size, channels).transpose(1, 2, 3, 0)


def _gather_forward(x, kernel, stride, low, sides):
    return _gather(x, kernel, stride, low, sides), (x, kernel)


def _gather_backward(stride, low, sides, saved, g):
    del sides
    x, kernel = saved
    gradient = _kernel_gradient(x, g, kernel.shape[0], stride, low)
    return _scatter(g, kernel, stride, low, x.shape[1:3]), gradient.astype(kernel.dtype)


def _scatter_forward(y, kernel, stride, low, sides):
    return _scatter(y, kernel, stride, low, sides), (y, kernel)


def _scatter_backward(stride, low, sides, saved, g):
    del sides
    y, kernel = saved
    gradient = _kernel_gradient(g, y, kernel.shape[0], stride, low)
    return _gather(g, kernel, stride, low, y.shape[1:3]), gradient.astype(kernel.dtype)


_gather.defvjp(_gather_forward, _gather_backward)
_scatter.defvjp(_scatter_forward, _scatter_backward)


def _pads(lengths, size: int, stride: int, low, sides) -> list[tuple[int, int]]:
    """Pixels before and after each axis, below zero where the end is not read."""
    return [
        (a, (p - 1) * stride + size - a - n) for n, a, p in zip(lengths, low, sides, strict=True)
    ]


def _convolve(x, kernel, stride: int, pads: list[tuple[int, int]]):
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT,
        preferred_element_type=jnp.float32,
    )  # fmt: skip
    return y.astype(x.dtype)


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
