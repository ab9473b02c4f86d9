"""Many images looked at a batch at a time, in batches of one shape, so that one program serves all.

N images, B the batch.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Int32, UInt8

from vae_jax.data.image_store import Images

Tree = TypeVar("Tree")


@flax.struct.dataclass
class Batch:
    """Images of one step; a ragged last batch is padded, and the mask says what counts.

    Attributes:
        image: as stored.
        index: place of each image in its role; its noise follows from it.
        mask: 1 where the image counts, 0 where it pads.
        class_index: class of the image, for a conditional model that is given it; else 0.
    """

    image: Any  # uint8 [B, H, W, C]
    index: Any  # int32 [B]
    mask: Any  # float32 [B]
    class_index: Any  # int32 [B]


def to_unit(image: UInt8[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """Returns x in [0, 1], float32."""
    return image.astype(jnp.float32) / 255.0


def batches(
    images: UInt8[Images, "N H W C"],
    batch_size: int,
    class_indices: Int32[np.ndarray, "N"] | None = None,
    rows: Int[np.ndarray, "n"] | None = None,
) -> Iterator[Batch]:
    """Yields every image once and in order; the last batch is padded with its first image and masked.

    Args:
        images: as stored.
        batch_size: of every batch.
        class_indices: class of each image, for a conditional model to which it is given.
        rows: which images to yield instead of all, and in which order; no other is read.
    """
    if class_indices is None:
        class_indices = np.zeros(len(images), np.int32)
    if rows is None:
        rows = np.arange(len(images))
    for places, counts in _padded(len(rows), batch_size):
        chosen = rows[places]
        batch = images[chosen]
        yield Batch(batch, content_index(batch), counts.astype(np.float32), class_indices[chosen])


def over_batches(
    function: Callable[[Batch], Tree],
    images: UInt8[Images, "N H W C"],
    batch_size: int,
    class_indices: Int32[np.ndarray, "N"] | None = None,
) -> Tree:
    """Returns what the function makes of a batch for all images, arrays of NumPy with N rows.

    Args:
        function: of a batch, to arrays with a row for each of its images.
        images, batch_size, class_indices: as for `batches`; at least one image.
    """
    parts = [
        jax.device_get(function(batch)) for batch in batches(images, batch_size, class_indices)
    ]
    return _joined(parts, len(images))


def in_batches(
    function: Callable[..., Tree], batch_size: int, *values: Images | np.ndarray | None
) -> Tree:
    """Returns what the function makes of rows of all values, arrays of NumPy with as many rows.

    Args:
        function: called with `batch_size` rows of each of the values, the first of a short batch repeated.
        batch_size: rows of every call.
        values: arrays or images of as many rows, one row at least. The first must be there; any other may
            be None, which is handed on.
    """
    count = len(values[0])
    parts = []
    for chosen, _ in _padded(count, batch_size):
        rows = [None if value is None else value[chosen] for value in values]
        parts.append(jax.device_get(function(*rows)))
    return _joined(parts, count)


def _padded(
    count: int, batch_size: int
) -> Iterator[tuple[Int[np.ndarray, "B"], Bool[np.ndarray, "B"]]]:
    """Yields rows of each batch, a short one filled with its first row, and which of them count."""
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size)
        counts = rows < count
        yield np.where(counts, rows, start), counts


def _joined(parts: Sequence[Tree], count: int) -> Tree:
    """Returns the first `count` rows of the parts together; the last part may have rows to spare."""
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *parts)


def content_index(images: UInt8[np.ndarray, "N H W C"]) -> Int32[np.ndarray, "N"]:
    """Returns a number for each image that follows from its pixels alone.

    What a score draws for an image is keyed by it, so that the score is the same in any test set, in any
    order, and when the image comes alone.
    """
    return np.array([zlib.crc32(image.tobytes()) for image in images], np.uint32).view(np.int32)
