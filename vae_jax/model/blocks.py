"""The steps of a strided convolution on the CPU, each written in the form that XLA's CPU backend runs fast.

Shapes: B batch, H W image, C input channels, O output channels, k kernel size, s stride. The kernel is
divided into t x t taps of s x s pixels, t = ceil(k / s), and the image into blocks of s x s pixels. A block
or a tap holds P = s s C numbers.
"""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def split_into_taps(kernel: Float[Array, "k k C O"], stride: int) -> Float[Array, "t t P O"]:
    """Returns the kernel as taps of one block each; the last taps are padded with zeros."""
    size, _, channels, outputs = kernel.shape
    taps = math.ceil(size / stride)
    padding = taps * stride - size
    kernel = jnp.pad(kernel, ((0, padding), (0, padding), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps, stride, taps, stride, channels, outputs)
    return kernel.transpose(0, 2, 1, 3, 4, 5).reshape(taps, taps, -1, outputs)


def split_into_blocks(
    x: Float[Array, "B H W C"], stride: int, low: Sequence[int], counts: Sequence[int]
) -> Float[Array, "B h w P"]:
    """Returns the image as blocks of `stride` x `stride` pixels.

    Args:
        x: images.
        stride: height and width of a block, pixels.
        low: zeros before the height and before the width of the image, pixels.
        counts: number of blocks along height and width; zeros are added, or pixels cut off, to fit.
    """

    def rearrange(x):
        x = pad(x, low, [n * stride for n in counts])
        x = x.reshape(x.shape[0], counts[0], stride, counts[1], -1)
        # A transpose gives the same result at half the speed.
        return jnp.concatenate([x[:, :, i] for i in range(stride)], axis=3)

    return rearrange_as_integers(rearrange, x)


def rearrange_as_integers(rearrange: Callable[[Array], Array], x: Array) -> Array:
    """Returns rearrange(x), computed on integers of the same bits where x is bfloat16.

    XLA copies integers in vectors, but bfloat16 numbers one at a time.

    Args:
        rearrange: a function that moves numbers, or adds zeros, and computes nothing.
        x: array to rearrange.
    """
    if x.dtype != jnp.bfloat16:
        return rearrange(x)
    integers = lax.bitcast_convert_type(x, jnp.uint16)
    return lax.bitcast_convert_type(rearrange(integers), x.dtype)


def pad(
    x: Shaped[Array, "B H W C"], low: Sequence[int], sides: Sequence[int]
) -> Shaped[Array, "B h w C"]:
    """Returns images of height and width `sides`: `low` zeros, then x, then zeros.

    Where x does not fit behind the first zeros, its last pixels are cut off.
    """
    pads = [(a, m - a - n, 0) for a, m, n in zip(low, sides, x.shape[1:3], strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])


def crop(
    x: Shaped[Array, "B H W C"], starts: Sequence[int], sides: Sequence[int]
) -> Shaped[Array, "B h w C"]:
    """Returns the part of x that begins at `starts` and has height and width `sides`."""
    (i, j), (rows, columns) = starts, sides
    return x[:, i : i + rows, j : j + columns]


def sum_shifted(
    products: Float[Array, "B H W t t P"], sides: Sequence[int]
) -> Float[Array, "B h w P"]:
    """Returns sum_ij products[p + (i, j), i, j] for the positions p within `sides`.

    Args:
        products: for every block its product with every tap.
        sides: height and width of the result.
    """
    taps = range(products.shape[3])
    return sum(crop(products[:, :, :, i, j], (i, j), sides) for i in taps for j in taps)


def contract(
    a: Float[Array, "..."], b: Float[Array, "..."], axes: tuple[Sequence[int], Sequence[int]]
) -> Float[Array, "..."]:
    """Returns the product of a and b, summed in float32 over a's axes `axes[0]` and b's axes `axes[1]`."""
    return lax.dot_general(a, b, (axes, ((), ())), preferred_element_type=jnp.float32)


def convolve(
    x: Float[Array, "B H W C"], kernel: Float[Array, "i j C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Returns the convolution without padding; XLA merges a preceding `pad` into it."""
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), "VALID", dimension_numbers=_LAYOUT,
        preferred_element_type=jnp.float32,
    )  # fmt: skip
    return y.astype(x.dtype)
