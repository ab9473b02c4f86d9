"""Images in memory or on disk, behind one interface: of images on disk only the requested ones are read.

N images, H W image, C channels.
"""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Int

from vae_jax.data.binarise import binarise

Store = TypeVar("Store")  # `Images`, or another object with a method `take`


@dataclasses.dataclass(frozen=True)
class ImagesOnDisk:
    """uint8 images [N, H, W, C], or masks [N, H, W], that are stored on disk, decoded.

    Indexing by a number, a slice, or an array of integers or booleans reads those images into memory;
    `take` selects images without reading them.

    Attributes:
        parts: arrays that are mapped from files, [n, H, W, C] or [n, H, W].
        rows: position of each image in the concatenation of all parts.
        region: pixels that count, all others are read as 0; None where all pixels count.
        is_binary: whether images are read as black and white ones, which are drawn from their greys.
    """

    parts: tuple[np.ndarray, ...]
    rows: Int[np.ndarray, "N"]
    region: Bool[np.ndarray, "H W"] | None = None
    is_binary: bool = False

    @classmethod
    def from_parts(cls, parts: Sequence[np.ndarray]) -> "ImagesOnDisk":
        """Returns all images of all parts, in their order."""
        return cls(tuple(parts), np.arange(sum(map(len, parts))))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key) -> np.ndarray:
        rows = self.rows[key]
        if rows.ndim == 0:
            return self._read(rows[None])[0]
        return self._read(rows)

    def __array__(self, *args, **kwargs):
        # Without this method NumPy would treat the object as a sequence, and read all images one by one.
        raise TypeError(
            "images that stay on disk are not an array; index them by the images to read"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that holds all images."""
        return (len(self.rows), *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        return self.parts[0].dtype

    @property
    def nbytes(self) -> int:
        """Bytes that all images would take in memory."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def take(self, rows: np.ndarray) -> "ImagesOnDisk":
        """Returns the images at these integers, or where these booleans are true; reads nothing."""
        return dataclasses.replace(self, rows=self.rows[rows])

    def zero_outside(self, region: Bool[np.ndarray, "H W"]) -> "ImagesOnDisk":
        """Returns the same images; pixels outside the region will be read as 0."""
        return dataclasses.replace(self, region=region)

    def _read(self, rows: Int[np.ndarray, "M"]) -> np.ndarray:
        images = np.empty((len(rows), *self.shape[1:]), self.dtype)
        start = 0
        for part in self.parts:
            in_part = np.flatnonzero((rows >= start) & (rows < start + len(part)))
            images[in_part] = part[rows[in_part] - start]
            start += len(part)
        if self.region is not None:
            images *= _broadcastable(self.region, images.ndim)
        return binarise(images) if self.is_binary else images


# The images of a role are in memory or on disk.
Images = np.ndarray | ImagesOnDisk


def take_images(images: Store, rows: np.ndarray) -> Store:
    """Returns the images at these integers, or where these booleans are true; reads none from disk.

    It takes rows of other stores, too: of any object with a method `take`.
    """
    return images[rows] if isinstance(images, np.ndarray) else images.take(rows)


def zero_outside_region(images: Images, region: Bool[np.ndarray, "H W"]) -> Images:
    """Returns images [N, H, W, C] or masks [N, H, W] that are 0 outside the region."""
    if isinstance(images, ImagesOnDisk):
        return images.zero_outside(region)
    return images * _broadcastable(region, images.ndim)


def binarise_images(images: Images) -> Images:
    """Returns images that are black and white; see `binarise.binarise`."""
    if isinstance(images, ImagesOnDisk):
        return dataclasses.replace(images, is_binary=True)
    return binarise(images)


def _broadcastable(region: Bool[np.ndarray, "H W"], ndim: int) -> np.ndarray:
    """Returns the region [H, W] of images [N, H, W, ...] with `ndim` axes, as [H, W, 1, ...]."""
    return region.reshape(region.shape + (1,) * (ndim - 3))


def join_images(parts: Sequence[Images]) -> Images:
    """Returns the images of all parts, one part after the other; on disk if any part is on disk.

    Raises:
        ValueError: if the parts have different regions, or only some of them are black and white.
    """
    if not any(isinstance(part, ImagesOnDisk) for part in parts):
        return np.concatenate(parts)
    stores = [
        part if isinstance(part, ImagesOnDisk) else ImagesOnDisk.from_parts([part])
        for part in parts
    ]
    region, is_binary = stores[0].region, stores[0].is_binary
    if any(store.region is not region or store.is_binary != is_binary for store in stores):
        raise ValueError(
            "images that are joined must have the same region, and all or none of them must be binary"
        )
    starts = np.cumsum([0, *(sum(map(len, store.parts)) for store in stores)])[:-1]
    rows = [store.rows + start for store, start in zip(stores, starts, strict=True)]
    return ImagesOnDisk(
        tuple(part for store in stores for part in store.parts),
        np.concatenate(rows),
        region,
        is_binary,
    )
