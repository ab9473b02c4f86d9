"""The linear maps of a strided convolution, written for XLA's CPU backend.

That backend dilates an operand for the gradients of a strided convolution, which takes a slow path, and
it computes bfloat16 convolutions in float32. Here nothing is dilated. Blocks of s x s pixels are written
into channels, where a convolution with stride s is one with stride 1 and t x t taps. In bfloat16 a
product of matrices, which does use the processor's units for it, then gives what every block contributes
to every tap, and the contributions are shifted and summed. Where that does not pay, XLA convolves: in
float32, from images as they are if they have channels enough, and wherever channels are few. Both kinds
of layer are the same pair of maps, walked in opposite directions, and share the gradient of the kernel:

    gather      y[p]  = sum_j x[s p + j - low] K[j]            a strided convolution
    scatter     x[i]  = sum_{p, j: s p + j - low = i} y[p] K[j]^T      its transpose
    correlate   K[j]  = sum_p x[s p + j - low] y[p]^T

Each is linear in both of its arguments, and the gradients of each are the other two, so there are
gradients of any order in reverse mode; there is no forward mode (`jax.jvp`, `jax.jacfwd`).

B batch, H W image, C channels in, O channels out, k kernel, s stride, t = ceil(k / s) taps of s pixels,
h w places of the kernel, P = s s C numbers of a block.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.blocks import (
    convolve,
    pad,
    product,
    split_into_blocks,
    split_into_taps,
    sum_shifted,
    window,
)
from vae_jax.model.kernel_gradient import kernel_gradient

# From so many channels on a convolution runs well on images as they are: a vector of float32.
_VECTOR = 16


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
    few = x.shape[3] < _VECTOR
    if x.dtype != jnp.bfloat16 and not few:
        ends = [(n - 1) * stride + kernel.shape[0] for n in sides]
        return convolve(pad(x, low, ends), kernel, stride)
    kernel = split_into_taps(kernel, stride)
    blocks = split_into_blocks(x, stride, low, [n + len(kernel) - 1 for n in sides])
    if few:
        return convolve(blocks, kernel, 1)
    each = product(blocks, kernel, ((3,), (2,)))  # [B . . t t O]
    return sum_shifted(each, sides).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _scatter(y, kernel, stride: int, low: tuple[int, int], sides: tuple[int, int]):
    """y [B h w O] -> x [B *sides C]."""
    batch, *places, _ = y.shape
    channels = kernel.shape[2]
    kernel = split_into_taps(kernel, stride)[::-1, ::-1]
    taps = len(kernel)
    # A pixel past the last block is reached by nothing; padding on the right gives it zeros.
    counts = [max(n + taps - 1, math.ceil((a + m) / stride))
              for n, a, m in zip(places, low, sides, strict=True)]  # fmt: skip
    y = pad(y, (taps - 1, taps - 1), [n + taps - 1 for n in counts])
    if y.dtype == jnp.bfloat16:
        each = product(y, kernel, ((3,), (3,)))  # [B . . t t P]
        blocks = sum_shifted(each, counts).astype(y.dtype)
    else:
        blocks = convolve(y, kernel.swapaxes(2, 3), 1)
    x = blocks.reshape(batch, *counts, stride, stride, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, *(n * stride for n in counts), channels)
    return window(x, low, sides)


_correlate = jax.custom_vjp(kernel_gradient, nondiff_argnums=(2, 3, 4))


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
