"""A Gaussian with shrunk full covariance, fitted to vectors, as a mean and a whitening matrix.

The covariance is shrunk towards a multiple of the identity (Ledoit and Wolf 2004), so that it can be
inverted although there are often fewer vectors than entries.

n training normals, F entries of a vector.
"""

import numpy as np
from jaxtyping import Float
from scipy import linalg

from vae_jax.errors import UserError

# Lower limit of the standard deviation in any direction, in units of the standardised observation. A
# smaller one, for example at a place that is black in all training images, would make the rounding errors
# of an observation that is stored as float16 look abnormal.
_MIN_DEVIATION = 0.03


def fit_whitening(
    vectors: Float[np.ndarray, "n F"],
) -> tuple[Float[np.ndarray, "F"], Float[np.ndarray, "F F"]]:
    """Fits a Gaussian with shrunk covariance to vectors and returns its mean and a whitening matrix W.

    (v - mean) @ W has the identity as covariance, so its squared length is the squared Mahalanobis
    distance of v. In a direction in which the vectors hardly differ, the standard deviation is set to
    `_MIN_DEVIATION`.

    Args:
        vectors: standardised vectors, float64.

    Raises:
        UserError: if there are fewer than two vectors.
    """
    if len(vectors) < 2:
        raise UserError(
            f"a covariance needs at least two training normals, but there are {len(vectors)}; add images"
        )
    mean = vectors.mean(axis=0)
    covariance, smallest_variance = _shrink_covariance(vectors - mean)
    if smallest_variance >= _MIN_DEVIATION**2:
        # No direction needs the limit. This is several times as fast as finding all directions.
        factor = linalg.cholesky(covariance, lower=True, check_finite=False)
        whiten, _ = linalg.lapack.dtrtri(factor, lower=1)
        return mean, whiten.T
    variances, directions = np.linalg.eigh(covariance)
    return mean, directions / np.sqrt(np.maximum(variances, _MIN_DEVIATION**2))


def _shrink_covariance(
    centred: Float[np.ndarray, "n F"],
) -> tuple[Float[np.ndarray, "F F"], float]:
    """Estimates a covariance matrix by (1 - s) S + s m I, with the sample covariance S of mean variance m.

    It is the estimate of scikit-learn's `ledoit_wolf` from one matrix product in place of three: the sum
    over all pairs of entries of their mean squared product is the mean fourth power of a vector's length.

    Args:
        centred: vectors minus their mean.

    Returns:
        The estimate, and s m, which no variance in any direction is below.

    Source: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices",
    equation 14, lemmas 3.2 to 3.5.
    """
    count, size = centred.shape
    covariance = centred.T @ centred / count
    mean_variance = np.trace(covariance) / size
    squared_length = np.sum(np.square(covariance))
    distance = squared_length - size * mean_variance**2  # of S from m I: d^2
    fourth_powers = np.square(np.sum(np.square(centred), axis=1))
    error = max(0.0, (fourth_powers.mean() - squared_length) / count)  # expected error of S: b^2
    shrinkage = min(error / distance, 1.0) if distance > 0 else 0.0
    shrunk = (1 - shrinkage) * covariance
    shrunk[np.diag_indices(size)] += shrinkage * mean_variance
    return shrunk, float(shrinkage * mean_variance)
