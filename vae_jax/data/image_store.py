"""Images that stay on disk: they look like an array, and only what is asked for is read.

N images, H W image, C channels.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int


@dataclasses.dataclass(frozen=True)
class ImagesOnDisk:
    """uint8 [N, H, W, C] images, or [N, H, W] masks, that lie decoded on disk.

    Indexing by a number, a slice, or an array of numbers or truth values reads those images into memory;
    `take` chooses among them without reading.

    Attributes:
        parts: arrays mapped from files, [n, H, W, C] or [n, H, W].
        rows: place of each image among those of all parts, one part after the other.
        region: which pixels count, the others are read as 0; None for all.
    """

    parts: tuple[np.ndarray, ...]
    rows: Int[np.ndarray, "N"]
    region: Bool[np.ndarray, "H W"] | None = None

    @classmethod
    def whole(cls, parts: Sequence[np.ndarray]) -> "ImagesOnDisk":
        """Returns all images of all parts."""
        return cls(tuple(parts), np.arange(sum(map(len, parts))))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key) -> np.ndarray:
        rows = self.rows[key]
        if rows.ndim == 0:
            return self._read(rows[None])[0]
        return self._read(rows)

    def __array__(self, *args, **kwargs):
        # NumPy would take it for a list, and read everything image by image.
        raise TypeError("images that stay on disk are no array; index them by what is to be read")

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (len(self.rows), *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """As of an array."""
        return self.parts[0].dtype

    @property
    def nbytes(self) -> int:
        """What the images would take in memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def take(self, rows: np.ndarray) -> "ImagesOnDisk":
        """Returns some of the images, by their numbers or by truth values; nothing is read."""
        return dataclasses.replace(self, rows=self.rows[rows])

    def within(self, region: Bool[np.ndarray, "H W"]) -> "ImagesOnDisk":
        """Returns the images with what lies outside of a region read as 0."""
        return dataclasses.replace(self, region=region)

    def _read(self, rows: Int[np.ndarray, "M"]) -> np.ndarray:
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        start = 0
        for part in self.parts:
            here = np.flatnonzero((rows >= start) & (rows < start + len(part)))
            found[here] = part[rows[here] - start]
            start += len(part)
        if self.region is not None:
            found *= self.region.reshape(self.region.shape + (1,) * (found.ndim - 3))
        return found


# What a role's images may be: in memory, or on disk.
Images = np.ndarray | ImagesOnDisk


def take(images: Images, rows: np.ndarray) -> Images:
    """Returns some of the images; those that stay on disk are not read."""
    return images.take(rows) if isinstance(images, ImagesOnDisk) else images[rows]


def within(images: Images, region: Bool[np.ndarray, "H W"]) -> Images:
    """Returns images (or masks) that are 0 outside of a region."""
    if isinstance(images, ImagesOnDisk):
        return images.within(region)
    return images * region.reshape(region.shape + (1,) * (images.ndim - 3))


def join_images(parts: Sequence[Images]) -> Images:
    """Returns the images of several, one after the other; on disk if any of them stays there.

    Raises:
        ValueError: if they are seen through different regions.
    """
    if not any(isinstance(part, ImagesOnDisk) for part in parts):
        return np.concatenate(parts)
    each = [
        part if isinstance(part, ImagesOnDisk) else ImagesOnDisk.whole([part]) for part in parts
    ]
    region = each[0].region
    if any(one.region is not region for one in each):
        raise ValueError("images that are joined are seen through the same region, or through none")
    starts = np.cumsum([0, *(sum(map(len, one.parts)) for one in each)])[:-1]
    rows = [one.rows + start for one, start in zip(each, starts, strict=True)]
    return ImagesOnDisk(
        tuple(part for one in each for part in one.parts), np.concatenate(rows), region
    )
