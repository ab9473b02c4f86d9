"""The gradient of a strided convolution with respect to its kernel, on the CPU.

Both algorithms sum a few images at a time, so that their operands are still in the processor's cache.

Shapes: B batch, H W image, C input channels, O output channels, h w positions of the kernel, k kernel size,
s stride. The kernel is divided into t x t taps of s x s pixels, t = ceil(k / s), and the image into blocks
of s x s pixels. A block or a tap holds P = s s C numbers.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vae_jax.model.blocks import (
    contract,
    convolve,
    crop,
    pad,
    rearrange_as_integers,
    split_into_blocks,
)

# Largest count of operand numbers in one step of a loop. Both limits were chosen by the time of a Kvasir
# training step on two cores.
_MAX_CONVOLVED = 900_000  # the fastest of three limits
_MAX_MULTIPLIED = 1_200_000  # the fastest of five limits, measured with float32 operands


def compute_kernel_gradient(
    x: Float[Array, "B H W C"], y: Float[Array, "B h w O"], size: int, stride: int,
    low: Sequence[int],
) -> Float[Array, "{size} {size} C O"]:  # fmt: skip
    """Returns K[j] = sum_p x[s p + j - low] y[p]^T, float32.

    The sum runs over positions and images. Under a sharded jit every device computes the whole sum, because
    each of them slices images out of the whole batch.

    Args:
        x: images.
        y: the vector that belongs to each position p.
        size: kernel size k, pixels.
        stride: stride s, pixels.
        low: zeros before the height and before the width of x, pixels.
    """
    taps = math.ceil(size / stride)
    sum_products = _sum_by_contractions if x.dtype == jnp.bfloat16 else _sum_by_convolution
    kernel = sum_products(x, y, stride, low, taps).transpose(0, 2, 1, 3, 4, 5)  # [t s t s C O]
    return kernel.reshape(taps * stride, taps * stride, *kernel.shape[4:])[:size, :size]


def _sum_by_convolution(x, y, stride: int, low, taps: int):
    """Returns [t t s s C O], by a convolution whose channels are the images of the batch.

    The P numbers of a block take the place of a batch. The loop slices images out of the whole batch: if it
    ran over images that were sliced before it, XLA would copy their source, and compute it once more.
    """
    outputs = y.shape[3]
    rows, columns, channels = x.shape[1:]
    counts = [n + taps - 1 for n in y.shape[1:3]]
    images_per_step = _images_per_step(len(x), x.size + y.size, _MAX_CONVOLVED)
    x, y = _pad_batch(x, images_per_step), _pad_batch(y, images_per_step)

    def add(i, total):
        x_i, y_i = (
            lax.dynamic_slice_in_dim(a, i * images_per_step, images_per_step) for a in (x, y)
        )
        # XLA transposes a matrix faster than any other array.
        x_i = x_i.reshape(images_per_step, -1).T.reshape(1, rows, columns, -1)
        x_i = pad(x_i, low, [n * stride for n in counts])
        x_i = x_i.reshape(counts[0], stride, counts[1], stride, channels, images_per_step)
        blocks = x_i.transpose(1, 3, 4, 0, 2, 5).reshape(-1, *counts, images_per_step)
        return total + convolve(blocks, y_i.transpose(1, 2, 0, 3), 1)

    start = jnp.zeros((stride * stride * channels, taps, taps, outputs), jnp.float32)
    total = lax.fori_loop(0, len(x) // images_per_step, add, start)
    return total.reshape(stride, stride, channels, taps, taps, outputs).transpose(3, 4, 0, 1, 2, 5)


def _sum_by_contractions(x, y, stride: int, low, taps: int):
    """Returns [t t s s C O], by one product of matrices per tap, of y and the blocks shifted by that tap.

    y is transposed before the loop. Inside the loop XLA would merge the transpose into the product, which
    then runs slowly.
    """
    *positions, outputs = y.shape[1:]
    blocks = split_into_blocks(x, stride, low, [n + taps - 1 for n in positions])
    images_per_step = _images_per_step(len(x), blocks.size + y.size, _MAX_MULTIPLIED)
    blocks, y = _pad_batch(blocks, images_per_step), _pad_batch(y, images_per_step)

    def add(total, operands):
        blocks, y = operands
        shifted = [
            crop(blocks, (i, j), positions).reshape(y.shape[1], -1)
            for i in range(taps)
            for j in range(taps)
        ]
        return total + jnp.stack([contract(y, part, ((1,), (0,))) for part in shifted]), None

    steps = len(y) // images_per_step
    y = rearrange_as_integers(lambda y: y.reshape(steps, -1, outputs).swapaxes(1, 2), y)
    start = jnp.zeros((taps * taps, outputs, blocks.shape[3]), jnp.float32)
    blocks = blocks.reshape(steps, images_per_step, *blocks.shape[1:])
    total, _ = lax.scan(add, start, (blocks, y))
    return total.reshape(taps, taps, outputs, stride, stride, -1).transpose(0, 1, 3, 4, 5, 2)


def _images_per_step(batch: int, numbers: int, limit: int) -> int:
    """Returns how many images one step of a loop sums.

    The steps have equal sizes and are as large as `limit` allows; a step has at least one image.

    Args:
        batch: images in total.
        numbers: operand numbers in total, over all images.
        limit: largest count of operand numbers in one step.
    """
    steps = math.ceil(batch / max(1, limit * batch // numbers))
    return math.ceil(batch / steps)


def _pad_batch(x, multiple: int):
    """Returns x followed by images of zeros, so that the number of images is divisible by `multiple`.

    Images of zeros add nothing to the sum.
    """
    missing = -len(x) % multiple
    return jnp.pad(x, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing else x
