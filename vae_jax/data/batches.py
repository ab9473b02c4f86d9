"""Images in batches of one shape, so that one compiled program serves all of them.

N images, B images of a batch, H W image, C channels.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32, Shaped, UInt8

from vae_jax.data.image_store import Images

Tree = TypeVar("Tree")


@flax.struct.dataclass
class Batch:
    """Images of one step; the mask shows which of them only pad a short batch.

    Attributes:
        image: pixels as stored; for a model of other observations, name -> observation.
        index: number from which the noise of each image follows: its row in the training set, or its
            `compute_content_index`.
        mask: 1 for an image that counts, 0 for padding.
        class_index: class of each image if the model is conditional and is given the class; otherwise 0.
    """

    image: Any  # uint8 [B, H, W, C]
    index: Any  # int32 [B]
    mask: Any  # float32 [B]
    class_index: Any  # int32 [B]


def to_unit(image: UInt8[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """Returns x in [0, 1], float32."""
    return image.astype(jnp.float32) / 255.0


def to_float(values: Shaped[Array, "B ..."]) -> Float[Array, "B ..."]:
    """Returns what a model reads as float32: stored pixels in [0, 1], other observations as they are."""
    return to_unit(values) if values.dtype == jnp.uint8 else values.astype(jnp.float32)


def to_host_float(values: np.ndarray) -> Float[np.ndarray, "N ..."]:
    """Returns the same as `to_float`, computed by NumPy."""
    scale = np.float32(255) if values.dtype == np.uint8 else np.float32(1)
    return values.astype(np.float32) / scale


def iterate_batches(
    images: Any,
    batch_size: int,
    class_indices: Int32[np.ndarray, "N"] | None = None,
    rows: Int[np.ndarray, "n"] | None = None,
) -> Iterator[Batch]:
    """Yields batches that contain every image once and in order.

    A short last batch is padded with copies of its first image, which its mask excludes.

    Args:
        images: pixels as stored, in memory or on disk; or `ObservedImages`.
        batch_size: number of images in every batch, with padding.
        class_indices: class of each image, if the model is conditional and is given the class.
        rows: rows of the images to yield, in this order, and no other image is read; None yields all.
    """
    if class_indices is None:
        class_indices = np.zeros(len(images), np.int32)
    if rows is None:
        rows = np.arange(len(images))
    for positions, counts in _iterate_padded(len(rows), batch_size):
        batch_rows = rows[positions]
        pixels = images[batch_rows]
        yield Batch(
            image=pixels,
            index=images.content_index[batch_rows]
            if isinstance(pixels, dict)
            else compute_content_index(pixels),
            mask=counts.astype(np.float32),
            class_index=class_indices[batch_rows],
        )


def map_batches(
    function: Callable[[Batch], Tree],
    images: Any,
    batch_size: int,
    class_indices: Int32[np.ndarray, "N"] | None = None,
) -> Tree:
    """Applies a function to all images in batches.

    Args:
        function: function of a batch that returns a tree of arrays with one row per image.
        images: pixels as stored, or `ObservedImages`; at least one image.
        batch_size: number of images in every batch, with padding.
        class_indices: class of each image, if the model is conditional and is given the class.

    Returns:
        The same tree of NumPy arrays with N rows.
    """
    parts = [
        jax.device_get(function(batch))
        for batch in iterate_batches(images, batch_size, class_indices)
    ]
    return _join_rows(parts, len(images))


def map_rows(
    function: Callable[..., Tree], batch_size: int, *columns: Images | np.ndarray | None
) -> Tree:
    """Applies a function to the rows of several columns in batches.

    Args:
        function: called with `batch_size` rows of each column; it returns a tree of arrays with as many
            rows. The rows that a short last batch lacks are copies of its first row.
        batch_size: number of rows in every call.
        columns: arrays or images with the same number of rows, at least one. Any but the first may be
            None, and the function then gets None for it.

    Returns:
        The same tree of NumPy arrays with one row per row of the columns.
    """
    count = len(columns[0])
    parts = []
    for rows, _ in _iterate_padded(count, batch_size):
        batch = [None if column is None else column[rows] for column in columns]
        parts.append(jax.device_get(function(*batch)))
    return _join_rows(parts, count)


def _iterate_padded(
    count: int, batch_size: int
) -> Iterator[tuple[Int[np.ndarray, "B"], Bool[np.ndarray, "B"]]]:
    """Yields the rows of each batch, a short one padded with its first row, and which rows count."""
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size)
        counts = rows < count
        yield np.where(counts, rows, start), counts


def _join_rows(parts: Sequence[Tree], count: int) -> Tree:
    """Returns the first `count` rows of all parts together; rows beyond them are padding."""
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *parts)


def compute_content_index(images: UInt8[np.ndarray, "N H W C"]) -> Int32[np.ndarray, "N"]:
    """Returns a number for each image that depends on its pixels alone.

    The random numbers that a score draws for an image are keyed by it, so the score does not depend on
    the other images or on their order.
    """
    return np.array([zlib.crc32(image.tobytes()) for image in images], np.uint32).view(np.int32)
