"""Checks whether samples repeat training images: the distance to the nearest training image.

N samples, M test images, n training images, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from vae_jax.data.image_store import Images
from vae_jax.exploration.pixels import flatten_pixels

_CHUNK = 4096  # training images in memory at once


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The nearest training image of each of N images.

    Attributes:
        index: row of the training image.
        distance: root mean squared difference per pixel, of images in [0, 1] with sides of at most 64
            pixels.
    """

    index: Int[np.ndarray, "N"]
    distance: Float[np.ndarray, "N"]


def find_nearest(
    images: UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"],
    train: UInt8[Images, "n H W C"],
) -> Neighbours:
    """Finds the nearest training image of each image by comparing it with all of them."""
    queries = flatten_pixels(images)
    smallest = np.full(len(queries), np.inf, np.float32)
    index = np.zeros(len(queries), np.int64)
    for start in range(0, len(train), _CHUNK):
        references = flatten_pixels(train[start : start + _CHUNK])
        # |q - r|^2 - |q|^2 orders the references of a query q as the distance does. The distance itself
        # is computed below from the difference, because the difference of two large squares is too
        # inexact for a small distance.
        partial = np.sum(np.square(references), axis=1) - 2 * queries @ references.T
        nearest = partial.argmin(axis=1)
        value = partial[np.arange(len(queries)), nearest]
        closer = value < smallest
        smallest = np.where(closer, value, smallest)
        index = np.where(closer, start + nearest, index)
    difference = queries - flatten_pixels(train[index])
    return Neighbours(index, np.sqrt(np.mean(np.square(difference), axis=1, dtype=np.float64)))


@dataclasses.dataclass(frozen=True)
class Memorisation:
    """Distances of three sets of images to their nearest training images.

    Attributes:
        neighbours: nearest training image of each sample, with the distance.
        test: distance of each test normal.
        reconstructions: distance of the reconstruction of each of these test normals. Reconstructions are
            as smooth as samples.
    """

    neighbours: Neighbours
    test: Float[np.ndarray, "M"]
    reconstructions: Float[np.ndarray, "M"]

    @property
    def samples(self) -> Float[np.ndarray, "N"]:
        """The distance of each sample."""
        return self.neighbours.distance

    @property
    def suspicious(self) -> float:
        """The proportion of samples nearer to a training image than 99 % of the reconstructions."""
        return float(np.mean(self.samples < np.quantile(self.reconstructions, 0.01)))


def measure_memorisation(
    samples: Float32[np.ndarray, "N H W C"],
    test: UInt8[np.ndarray, "M H W C"],
    reconstructions: Float32[np.ndarray, "M H W C"],
    train: UInt8[Images, "n H W C"],
) -> Memorisation:
    """Measures the distances to training images of samples, test images and their reconstructions."""
    return Memorisation(
        find_nearest(samples, train),
        find_nearest(test, train).distance,
        find_nearest(reconstructions, train).distance,
    )
