"""A Gaussian with full covariance at every place of an observation, as in PaDiM.

An observation has a vector of K channels at each place of a grid, standardised over training normals. At a
place of one training image the vector is compared with the vectors of all training images at the same
place. So this rule knows what is normal where, for example that the dark corner of a picture is dark. Its
cost is a matrix [K, K] per place.

n training normals, B batch, h w places, K channels.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from threadpoolctl import threadpool_limits

from vae_jax.scoring.whitening import fit_whitening

_EXACT = jax.lax.Precision.HIGHEST  # on a GPU, TF32 would round small distances away


@flax.struct.dataclass
class PlaceGaussian:
    """Mean and whitening matrix of each place: (o - mean) @ whiten has covariance 1 over normals."""

    mean: Any  # float32 [h, w, K]
    whiten: Any  # float32 [h, w, K, K]


def fit_place_gaussian(o: Float[np.ndarray, "n h w K"]) -> PlaceGaussian:
    """Fits a Gaussian with shrunk full covariance at every place.

    The places are fitted one after the other, so that beside the result little memory is needed.

    Args:
        o: observations of training normals, standardised.

    Raises:
        UserError: if there are fewer than two training normals.

    Source: Defard, Setkov, Loesch and Audigier 2021 (PaDiM), with the shrinkage of Ledoit and Wolf 2004
    in place of a constant on the diagonal.
    """
    _, height, width, channels = o.shape
    mean = np.empty((height, width, channels), np.float32)
    whiten = np.empty((height, width, channels, channels), np.float32)
    # Several threads would wait for each other longer than they compute with matrices of this size: on two
    # busy cores they take eight times the processor time of one.
    with threadpool_limits(1):
        for i, j in np.ndindex(height, width):
            mean[i, j], whiten[i, j] = fit_whitening(o[:, i, j].astype(np.float64))
    return PlaceGaussian(mean, whiten)


def measure_place_distances(
    gaussian: PlaceGaussian, o: Float[Array, "B h w K"]
) -> Float[Array, "B h w"]:
    """Computes how far each place of an observation is from training normals.

    Returns:
        (o - m)^T S^-1 (o - m) / K at each place, with mean m and shrunk covariance S of the place: the
        squared Mahalanobis distance per channel. It is about 1 for normals if there are many of them.
    """
    centred = o - gaussian.mean[None]
    whitened = jnp.einsum("bhwk,hwkl->bhwl", centred, gaussian.whiten, precision=_EXACT)
    return jnp.mean(jnp.square(whitened), axis=3)
