"""The steps that the maps of a strided convolution are made of, as XLA's CPU backend runs them well.

B batch, H W image, C channels in, O channels out, k kernel, s stride, t = ceil(k / s) taps of s pixels,
P = s s C numbers of a block.
"""

import math
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def split_into_taps(kernel: Float[Array, "k k C O"], stride: int) -> Float[Array, "t t P O"]:
    """Returns the kernel in taps of a block each, zeros where the last ends past the kernel."""
    size, _, channels, outputs = kernel.shape
    taps = math.ceil(size / stride)
    fill = taps * stride - size
    kernel = jnp.pad(kernel, ((0, fill), (0, fill), (0, 0), (0, 0)))
    kernel = kernel.reshape(taps, stride, taps, stride, channels, outputs)
    return kernel.transpose(0, 2, 1, 3, 4, 5).reshape(taps, taps, -1, outputs)


def split_into_blocks(
    x: Float[Array, "B H W C"], stride: int, low: Sequence[int], counts: Sequence[int]
) -> Float[Array, "B h w P"]:
    """Returns `counts` blocks of the image with `low` pixels of zeros before it."""

    def move(x):
        x = pad(x, low, [n * stride for n in counts])
        x = x.reshape(len(x), counts[0], stride, counts[1], -1)
        # A transpose says the same, at half the speed.
        return jnp.concatenate([x[:, :, i] for i in range(stride)], axis=3)

    return moved(move, x)


def moved(move: Callable[[Array], Array], x: Array) -> Array:
    """Returns `move`, which only copies, of x: XLA copies integers in vectors, bfloat16 one by one."""
    if x.dtype != jnp.bfloat16:
        return move(x)
    return lax.bitcast_convert_type(move(lax.bitcast_convert_type(x, jnp.uint16)), x.dtype)


def pad(
    x: Shaped[Array, "B H W C"], low: Sequence[int], sides: Sequence[int]
) -> Shaped[Array, "B h w C"]:
    """Returns x with `low` zeros before height and width, and zeros behind, or less of x, up to `sides`."""
    pads = [(a, m - a - n, 0) for a, m, n in zip(low, sides, x.shape[1:3], strict=True)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *pads, (0, 0, 0)])


def window(
    x: Shaped[Array, "B H W C"], starts: Sequence[int], sides: Sequence[int]
) -> Shaped[Array, "B h w C"]:
    """Returns the part of x that begins at `starts` and is `sides` high and wide."""
    (i, j), (rows, columns) = starts, sides
    return x[:, i : i + rows, j : j + columns]


def sum_shifted(each: Float[Array, "B H W t t P"], sides: Sequence[int]) -> Float[Array, "B h w P"]:
    """Returns sum_ij each[p + (i, j), i, j] for the places p within `sides`."""
    taps = range(each.shape[3])
    return sum(window(each[:, :, :, i, j], (i, j), sides) for i in taps for j in taps)


def product(
    a: Float[Array, "..."], b: Float[Array, "..."], axes: tuple[Sequence[int], Sequence[int]]
) -> Float[Array, "..."]:
    """Returns the sum over pairs of `axes`, of a's and of b's, in float32."""
    return lax.dot_general(a, b, (axes, ((), ())), preferred_element_type=jnp.float32)


def convolve(
    x: Float[Array, "B H W C"], kernel: Float[Array, "i j C O"], stride: int
) -> Float[Array, "B h w O"]:
    """Returns the convolution without padding; XLA folds what `pad` did into it."""
    y = lax.conv_general_dilated(
        x, kernel, (stride, stride), "VALID", dimension_numbers=_LAYOUT,
        preferred_element_type=jnp.float32,
    )  # fmt: skip
    return y.astype(x.dtype)
