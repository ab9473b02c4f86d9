"""The gradient of a strided convolution's kernel, on the CPU: one way for float32, one for bfloat16.

Both sum a few images at a time, so that what is multiplied is still in the cache.

B batch, H W image, C channels in, O channels out, h w places of the kernel, s stride, t taps of s pixels,
P = s s C numbers of a block.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vae_jax.model.blocks import blocks_of, convolve, moved, pad, product, window

# Numbers in one step: the best of three and of five sizes on two cores.
_CONVOLVED = 900_000
_MULTIPLIED = 1_200_000


def by_convolution(
    x: Float[Array, "B H W C"],
    y: Float[Array, "B h w O"],
    stride: int,
    low: Sequence[int],
    taps: int,
) -> Float[Array, "t t s s C O"]:
    """Returns a convolution whose channels are images, and whose images are the P.

    Images are cut out within the loop: a loop over images cut up before it would be given a copy of what
    they were made from, computed anew.
    """
    outputs = y.shape[3]
    rows, columns, channels = x.shape[1:]
    counts = [n + taps - 1 for n in y.shape[1:3]]

    def add(i, total):
        x_i, y_i = (lax.dynamic_slice_in_dim(a, i * step, step) for a in (x, y))
        # As a matrix, because that is how XLA transposes fastest.
        x_i = x_i.reshape(step, -1).T.reshape(1, rows, columns, -1)
        x_i = pad(x_i, low, [n * stride for n in counts])
        x_i = x_i.reshape(counts[0], stride, counts[1], stride, channels, step)
        blocks = x_i.transpose(1, 3, 4, 0, 2, 5).reshape(-1, *counts, step)
        return total + convolve(blocks, y_i.transpose(1, 2, 0, 3), 1)

    step = _step(len(x), x.size + y.size, _CONVOLVED)
    start = jnp.zeros((stride * stride * channels, taps, taps, outputs), jnp.float32)
    total = lax.fori_loop(0, len(x) // step, add, start)
    return total.reshape(stride, stride, channels, taps, taps, outputs).transpose(3, 4, 0, 1, 2, 5)


def by_products(
    x: Float[Array, "B H W C"],
    y: Float[Array, "B h w O"],
    stride: int,
    low: Sequence[int],
    taps: int,
) -> Float[Array, "t t s s C O"]:
    """Returns a product a tap, of shifted blocks.

    The transpose of y is made before the loop, or XLA would fold it into the product and run that slowly.
    """
    batch, *places, outputs = y.shape
    blocks = blocks_of(x, stride, low, [n + taps - 1 for n in places])
    step = _step(batch, blocks.size + y.size, _MULTIPLIED)

    def add(total, pair):
        blocks, y = pair
        parts = [
            window(blocks, (i, j), places).reshape(y.shape[1], -1)
            for i in range(taps)
            for j in range(taps)
        ]
        return total + jnp.stack([product(y, part, ((1,), (0,))) for part in parts]), None

    y = moved(lambda y: y.reshape(batch // step, -1, outputs).swapaxes(1, 2), y)
    start = jnp.zeros((taps * taps, outputs, blocks.shape[3]), jnp.float32)
    blocks = blocks.reshape(-1, step, *blocks.shape[1:])
    total, _ = lax.scan(add, start, (blocks, y))
    return total.reshape(taps, taps, outputs, stride, stride, -1).transpose(0, 1, 3, 4, 5, 2)


def _step(batch: int, numbers: int, limit: int) -> int:
    """Images to a step of a loop, so that it takes about `limit` of the numbers and divides the batch."""
    most = max(1, limit * batch // numbers)
    return max(n for n in range(1, batch + 1) if batch % n == 0 and n <= most)
