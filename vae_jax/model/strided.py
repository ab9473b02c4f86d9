"""The linear maps of a strided convolution, written for XLA's CPU backend.

XLA's CPU backend computes the gradients of a strided convolution by dilating an operand, which is slow, and
it computes bfloat16 convolutions in float32. This module dilates nothing. It moves blocks of s x s pixels
into channels, so that a convolution with stride s becomes one with stride 1 and t x t taps.

- In bfloat16 a product of matrices computes the contribution of every block to every tap, and the
  contributions are shifted and summed. Only products of matrices use the processor's bfloat16 units.
- In float32 XLA convolves. It takes images as they are if they have many channels, and blocks otherwise.
- Images with few channels are convolved as blocks in either precision.

Convolution and transposed convolution are the same two maps in opposite directions, and they share the
gradient of the kernel:

    gather      y[p]  = sum_j x[s p + j - low] K[j]            a strided convolution
    scatter     x[i]  = sum_{p, j: s p + j - low = i} y[p] K[j]^T      its transpose
    correlate   K[j]  = sum_p x[s p + j - low] y[p]^T

Each map is linear in both of its arguments, and its gradients are the other two maps. Therefore gradients
of any order exist in reverse mode. Forward mode (`jax.jvp`, `jax.jacfwd`) is not supported.

Shapes: B batch, H W image, C input channels, O output channels, k kernel size, s stride, h w positions of
the kernel. The kernel is divided into t x t taps of s x s pixels, t = ceil(k / s). A block or a tap holds
P = s s C numbers.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.blocks import (
    contract,
    convolve,
    crop,
    pad,
    split_into_blocks,
    split_into_taps,
    sum_shifted,
)
from vae_jax.model.kernel_gradient import compute_kernel_gradient

# With at least this many channels (one processor vector of float32) a convolution of the images as they are
# runs fast.
_MIN_CHANNELS = 16


def strided_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Returns the same as `lax.conv_general_dilated` with SAME padding."""
    size = kernel.shape[0]
    sides = tuple(math.ceil(n / stride) for n in x.shape[1:3])
    excess = [(p - 1) * stride + size - n for p, n in zip(sides, x.shape[1:3], strict=True)]
    return _gather(x, kernel, stride, tuple(max(e, 0) // 2 for e in excess), sides)


def transposed_convolution(
    x: Float[Array, "B H W C"], kernel: Float[Array, "k k C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Returns the same as `lax.conv_transpose` with SAME padding, which flips the kernel."""
    size = kernel.shape[0]
    low = size - 1 - min(size - 1, math.ceil((size + stride - 2) / 2))
    sides = tuple(n * stride for n in x.shape[1:3])
    return _scatter(x, kernel[::-1, ::-1].swapaxes(2, 3), stride, (low, low), sides)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _gather(x, kernel, stride: int, low: tuple[int, int], sides: tuple[int, int]):
    """Maps x [B H W C] to y [B *sides O]."""
    has_few_channels = x.shape[3] < _MIN_CHANNELS
    if x.dtype != jnp.bfloat16 and not has_few_channels:
        ends = [(n - 1) * stride + kernel.shape[0] for n in sides]
        return convolve(pad(x, low, ends), kernel, stride)
    kernel = split_into_taps(kernel, stride)
    blocks = split_into_blocks(x, stride, low, [n + len(kernel) - 1 for n in sides])
    if has_few_channels:
        return convolve(blocks, kernel, 1)
    products = contract(blocks, kernel, ((3,), (2,)))  # [B . . t t O]
    return sum_shifted(products, sides).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _scatter(y, kernel, stride: int, low: tuple[int, int], sides: tuple[int, int]):
    """Maps y [B h w O] to x [B *sides C]."""
    batch, *positions, _ = y.shape
    channels = kernel.shape[2]
    kernel = split_into_taps(kernel, stride)[::-1, ::-1]
    taps = len(kernel)
    # No tap reaches a pixel behind the last block, so blocks of zeros are added there.
    counts = [max(n + taps - 1, math.ceil((a + m) / stride))
              for n, a, m in zip(positions, low, sides, strict=True)]  # fmt: skip
    y = pad(y, (taps - 1, taps - 1), [n + taps - 1 for n in counts])
    if y.dtype == jnp.bfloat16:
        products = contract(y, kernel, ((3,), (3,)))  # [B . . t t P]
        blocks = sum_shifted(products, counts).astype(y.dtype)
    else:
        blocks = convolve(y, kernel.swapaxes(2, 3), 1)
    x = blocks.reshape(batch, *counts, stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, *(n * stride for n in counts), channels)
    return crop(x, low, sides)


_correlate = jax.custom_vjp(compute_kernel_gradient, nondiff_argnums=(2, 3, 4))


def _gather_forward(x, kernel, stride, low, sides):
    return _gather(x, kernel, stride, low, sides), (x, kernel)


def _gather_backward(stride, low, sides, saved, y):
    del sides
    x, kernel = saved
    gradient = _correlate(x, y, len(kernel), stride, low).astype(kernel.dtype)
    return _scatter(y, kernel, stride, low, x.shape[1:3]), gradient


def _scatter_forward(y, kernel, stride, low, sides):
    return _scatter(y, kernel, stride, low, sides), (y, kernel)


def _scatter_backward(stride, low, sides, saved, x):
    del sides
    y, kernel = saved
    gradient = _correlate(x, y, len(kernel), stride, low).astype(kernel.dtype)
    return _gather(x, kernel, stride, low, y.shape[1:3]), gradient


def _correlate_forward(x, y, size, stride, low):
    return _correlate(x, y, size, stride, low), (x, y)


def _correlate_backward(size, stride, low, saved, kernel):
    del size
    x, y = saved
    kernel = kernel.astype(x.dtype)
    return (
        _scatter(y, kernel, stride, low, x.shape[1:3]),
        _gather(x, kernel, stride, low, y.shape[1:3]),
    )


_gather.defvjp(_gather_forward, _gather_backward)
_scatter.defvjp(_scatter_forward, _scatter_backward)
_correlate.defvjp(_correlate_forward, _correlate_backward)
