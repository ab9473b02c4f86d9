"""The gradient of a strided convolution's kernel, on the CPU.

Both ways sum a few images at a time, so that what is multiplied is still in the cache.

B batch, H W image, C channels in, O channels out, h w places of the kernel, k kernel, s stride,
t = ceil(k / s) taps of s pixels, P = s s C numbers of a block.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vae_jax.model.blocks import convolve, moved, pad, product, split_into_blocks, window

# Numbers in one step, by what a Kvasir training step took on two cores.
_CONVOLVED = 900_000  # the best of three sizes
_MULTIPLIED = 1_200_000  # the best of five, in float32 at that time


def kernel_gradient(
    x: Float[Array, "B H W C"], y: Float[Array, "B h w O"], size: int, stride: int,
    low: Sequence[int],
) -> Float[Array, "{size} {size} C O"]:  # fmt: skip
    """Returns K[j] = sum_p x[s p + j - low] y[p]^T, float32.

    The sum runs over places and images. Under a sharded jit every device computes all of it: each cuts
    out images from the whole batch.

    Args:
        x: images.
        y: what belongs to each place.
        size: of the kernel.
        stride: s.
        low: pixels of zeros before height and width of x.
    """
    taps = math.ceil(size / stride)
    way = _by_products if x.dtype == jnp.bfloat16 else _by_convolution
    kernel = way(x, y, stride, low, taps).transpose(0, 2, 1, 3, 4, 5)  # [t s t s C O]
    return kernel.reshape(taps * stride, taps * stride, *kernel.shape[4:])[:size, :size]


def _by_convolution(x, y, stride: int, low, taps: int):
    """[t t s s C O], as a convolution whose channels are images, and whose images are the P.

    Images are cut out within the loop: a loop over images cut up before it would be given a copy of what
    they were made from, computed anew.
    """
    outputs = y.shape[3]
    rows, columns, channels = x.shape[1:]
    counts = [n + taps - 1 for n in y.shape[1:3]]
    step = _step(len(x), x.size + y.size, _CONVOLVED)
    x, y = _filled(x, step), _filled(y, step)

    def add(i, total):
        x_i, y_i = (lax.dynamic_slice_in_dim(a, i * step, step) for a in (x, y))
        # As a matrix, because that is how XLA transposes fastest.
        x_i = x_i.reshape(step, -1).T.reshape(1, rows, columns, -1)
        x_i = pad(x_i, low, [n * stride for n in counts])
        x_i = x_i.reshape(counts[0], stride, counts[1], stride, channels, step)
        blocks = x_i.transpose(1, 3, 4, 0, 2, 5).reshape(-1, *counts, step)
        return total + convolve(blocks, y_i.transpose(1, 2, 0, 3), 1)

    start = jnp.zeros((stride * stride * channels, taps, taps, outputs), jnp.float32)
    total = lax.fori_loop(0, len(x) // step, add, start)
    return total.reshape(stride, stride, channels, taps, taps, outputs).transpose(3, 4, 0, 1, 2, 5)


def _by_products(x, y, stride: int, low, taps: int):
    """[t t s s C O], as a product a tap, of shifted blocks.

    The transpose of y is made before the loop, or XLA would fold it into the product and run that slowly.
    """
    *places, outputs = y.shape[1:]
    blocks = split_into_blocks(x, stride, low, [n + taps - 1 for n in places])
    step = _step(len(x), blocks.size + y.size, _MULTIPLIED)
    blocks, y = _filled(blocks, step), _filled(y, step)

    def add(total, pair):
        blocks, y = pair
        parts = [
            window(blocks, (i, j), places).reshape(y.shape[1], -1)
            for i in range(taps)
            for j in range(taps)
        ]
        return total + jnp.stack([product(y, part, ((1,), (0,))) for part in parts]), None

    steps = len(y) // step
    y = moved(lambda y: y.reshape(steps, -1, outputs).swapaxes(1, 2), y)
    start = jnp.zeros((taps * taps, outputs, blocks.shape[3]), jnp.float32)
    blocks = blocks.reshape(steps, step, *blocks.shape[1:])
    total, _ = lax.scan(add, start, (blocks, y))
    return total.reshape(taps, taps, outputs, stride, stride, -1).transpose(0, 1, 3, 4, 5, 2)


def _step(batch: int, numbers: int, limit: int) -> int:
    """Images to a step of a loop: as many to each as goes, with at most `limit` of the numbers."""
    steps = math.ceil(batch / max(1, limit * batch // numbers))
    return math.ceil(batch / steps)


def _filled(x, step: int):
    """Images of zeros, which add nothing, after those of x, up to a multiple of the step."""
    missing = -len(x) % step
    return jnp.pad(x, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else x
