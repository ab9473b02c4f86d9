"""Standardised observations: each value is measured in standard deviations of the training normals.

n training normals, N images, h w cells of a grid, K channels, P channels after the projection.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from vae_jax.data.image_store import Images

_CHUNK = 64  # images in memory as float32 at the same time
# Seed of the projection. It is not the seed of the run, so that all runs see the same channels.
_PROJECTION_SEED = 0
# Larger standardised values would be infinite in float16, and no model learns from them.
HIGHEST_VALUE = 1e4


@dataclasses.dataclass(frozen=True)
class Standardiser:
    """Subtracts a mean, divides by a standard deviation, and projects to fewer channels.

    Attributes:
        mean: mean over the training normals, [K], or [h, w, K] with one value for each place.
        deviation: standard deviation, of the same shape, at least a thousandth of its mean.
        projection: matrix with orthonormal columns [K, P]; None keeps all channels.
    """

    mean: Float[np.ndarray, "..."]
    deviation: Float[np.ndarray, "..."]
    projection: Float[np.ndarray, "K P"] | None = None

    def apply(self, o: Float[np.ndarray, "N ..."]) -> Float[np.ndarray, "N ..."]:
        """Returns the standardised observations, float16."""
        standardised = (o.astype(np.float32) - self.mean) / self.deviation
        if self.projection is not None:
            standardised = standardised @ self.projection
        return np.clip(standardised, -HIGHEST_VALUE, HIGHEST_VALUE).astype(np.float16)


def fit_standardiser(
    train: Images, *, per_place: bool, num_channels: int | None = None
) -> Standardiser:
    """Fits the mean and the standard deviation of training normals, in constant memory.

    Args:
        train: observations of the training normals, [n, ..., K].
        per_place: True for one mean for each place and channel, False for one for each channel.
        num_channels: number of channels P to project to at random; None, or K, keeps all.
    """
    axes = 0 if per_place else tuple(range(len(train.shape) - 1))
    count = 0
    total = squares = np.float64(0)
    for o in iterate_chunks(train):
        values = o.astype(np.float64)
        sums = values.sum(axis=axes)
        count += values.size // sums.size
        total = total + sums
        squares = squares + np.square(values).sum(axis=axes)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 0))
    # A value that hardly varies would turn rounding errors into the largest differences.
    deviation = np.maximum(deviation, 1e-3 * max(float(deviation.mean()), 1e-6))
    projection = None
    channels = train.shape[-1]
    if num_channels is not None and num_channels < channels:
        projection = _draw_projection(channels, num_channels)
    return Standardiser(mean.astype(np.float32), deviation.astype(np.float32), projection)


def standardise(observations: Images, standardiser: Standardiser) -> Float[np.ndarray, "N ..."]:
    """Returns the standardised observations of all images, float16, in memory."""
    return np.concatenate([standardiser.apply(o) for o in iterate_chunks(observations)])


def iterate_chunks(observations: Images) -> Iterator[np.ndarray]:
    """Yields the observations of consecutive images."""
    return (observations[start : start + _CHUNK] for start in range(0, len(observations), _CHUNK))


def _draw_projection(channels: int, num_channels: int) -> Float[np.ndarray, "K P"]:
    """Draws orthonormal columns, uniformly among all of them."""
    normal = np.random.default_rng(_PROJECTION_SEED).standard_normal((channels, num_channels))
    orthonormal, triangular = np.linalg.qr(normal)
    return (orthonormal * np.sign(np.diag(triangular))).astype(np.float32)
