"""Whether samples are copies of training images.

N images, n training images, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from vae_jax.data.image_store import Images
from vae_jax.exploration.pixels import flat

_CHUNK = 4096  # training images compared at once


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The nearest training image of each of N images.

    Attributes:
        index: of the training image.
        distance: root mean squared difference a pixel, of [0, 1] images of at most 64 pixels a side.
    """

    index: Int[np.ndarray, "N"]
    distance: Float[np.ndarray, "N"]


def nearest(
    images: UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"],
    train: UInt8[Images, "n H W C"],
) -> Neighbours:
    """Finds the nearest training image of each image, by brute force."""
    queries = flat(images)
    best = np.full(len(queries), np.inf, np.float32)
    index = np.zeros(len(queries), np.int64)
    for start in range(0, len(train), _CHUNK):
        known = flat(train[start : start + _CHUNK])
        # |a - b|^2 less |a|^2. It finds the neighbour; its distance is taken anew, because the difference
        # of large squares has lost it where it is small.
        partial = np.sum(np.square(known), axis=1) - 2 * queries @ known.T
        least = partial.argmin(axis=1)
        value = partial[np.arange(len(queries)), least]
        closer = value < best
        best = np.where(closer, value, best)
        index = np.where(closer, start + least, index)
    distance = np.sqrt(np.mean(np.square(queries - flat(train[index])), axis=1, dtype=np.float64))
    return Neighbours(index, distance)


@dataclasses.dataclass(frozen=True)
class Memorisation:
    """Distances to the nearest training image.

    Attributes:
        samples: of generated images.
        test: of test normals.
        decoded: of the same test normals' reconstructions, which are as smooth as samples are.
        neighbours: of the samples.
    """

    samples: Float[np.ndarray, "N"]
    test: Float[np.ndarray, "M"]
    decoded: Float[np.ndarray, "M"]
    neighbours: Neighbours

    @property
    def suspicious(self) -> float:
        """Share of samples that lie nearer to a training image than 99 % of the decoded test images."""
        return float(np.mean(self.samples < np.quantile(self.decoded, 0.01)))


def memorisation(
    samples: Float32[np.ndarray, "N H W C"],
    test: UInt8[np.ndarray, "M H W C"],
    decoded: Float32[np.ndarray, "M H W C"],
    train: UInt8[Images, "n H W C"],
) -> Memorisation:
    """Measures how near samples come to training images, and how near images do that were never seen."""
    found = nearest(samples, train)
    return Memorisation(
        found.distance, nearest(test, train).distance, nearest(decoded, train).distance, found
    )
