"""How similar generated images are to real ones, measured by the features of a fixed network.

Each metric depends on that network, so two values can be compared only if their features are the same.

Names: `N` and `M` images, `D` features, `K` classes.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

_PRODUCT_ROWS = 2048  # rows of a kernel matrix that are in memory at the same time


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and covariance (unbiased) of features."""

    mean: Float[np.ndarray, "D"]
    covariance: Float[np.ndarray, "D D"]


def compute_moments(features: Float[np.ndarray, "N D"]) -> Moments:
    """Returns mean and covariance of the features, in float64.

    Raises:
        ValueError: for fewer than two images.
    """
    if len(features) < 2:
        raise ValueError(f"a covariance needs at least two images; found {len(features)}")
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    return Moments(mean, centred.T @ centred / (len(values) - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """Returns the squared Fréchet distance of the Gaussians with these moments.

    It is |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), and at least 0.

    The trace of the root is computed as the sum of the singular values of S_a^(1/2) S_b^(1/2). This sum is
    real for every pair of covariances, also with fewer images than features. The product S_a S_b is not
    symmetric, so `scipy.linalg.sqrtm` may return a complex root of it, or none.

    Source: Dowson and Landau 1982; on features, Heusel et al. 2017 (equation 6).
    """
    between = float(np.sum(np.square(a.mean - b.mean)))
    roots = _root(a.covariance) @ _root(b.covariance)
    overlap = float(np.linalg.svd(roots, compute_uv=False).sum())
    spread = float(np.trace(a.covariance) + np.trace(b.covariance))
    return max(between + spread - 2 * overlap, 0.0)


def _root(covariance: Float[np.ndarray, "D D"]) -> Float[np.ndarray, "D D"]:
    """Returns the symmetric root; an eigenvalue that differs from 0 only by rounding counts as 0."""
    values, vectors = np.linalg.eigh(covariance)
    zero = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    values = np.where(values > zero, values, 0.0)
    return (vectors * np.sqrt(values)) @ vectors.T


def inception_score(
    probabilities: Float[np.ndarray, "N K"], num_splits: int = 10
) -> tuple[float, float]:
    """Returns the Inception Score, which lies between 1 and K.

    It is 1 if all images are of one class, or if the classifier is never certain. It is K if the classifier
    is certain of every image and all classes are equally frequent. It is exp(E_x KL(p(y | x) || p(y))) of
    each of `num_splits` parts; the images are divided in their order.

    Returns:
        Mean and standard deviation over the parts.

    Raises:
        ValueError: if there are fewer images than parts.

    Source: Salimans et al. 2016.
    """
    if len(probabilities) < num_splits:
        raise ValueError(
            f"{num_splits} parts need at least {num_splits} images; found {len(probabilities)}"
        )
    parts = np.array_split(probabilities.astype(np.float64), num_splits)
    scores = [_score(part) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def _score(probabilities: np.ndarray) -> float:
    """Returns the Inception Score of one part."""
    marginal = probabilities.mean(axis=0)
    # p log p is 0 where p is 0, and there the marginal may be 0 as well.
    ratio = np.divide(
        probabilities, marginal, out=np.ones_like(probabilities), where=probabilities > 0
    )
    return float(np.exp(np.mean(np.sum(probabilities * np.log(ratio), axis=1))))


def kernel_distance(a: Float[np.ndarray, "N D"], b: Float[np.ndarray, "M D"]) -> float:
    """Returns the unbiased squared maximum mean discrepancy with the kernel k(x, y) = (x . y / D + 1)^3.

    It is mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean k(a_i, b_j). For equal
    distributions its expectation is 0 at any number of images, unlike that of the Fréchet distance. So a
    single value can be below 0.

    Raises:
        ValueError: if `a` or `b` has fewer than two images.

    Source: Binkowski et al. 2018, "Demystifying MMD GANs"; estimator of Gretton et al. 2012 (equation 3).
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(
            f"the unbiased estimate needs at least two images in each set; found {len(a)} and {len(b)}"
        )
    a, b = a.astype(np.float64), b.astype(np.float64)
    return _mean_over_pairs(a) + _mean_over_pairs(b) - 2 * _kernel_sum(a, b) / (len(a) * len(b))


def _mean_over_pairs(a: np.ndarray) -> float:
    """Returns the mean of the kernel over all pairs of two different images."""
    diagonal = float(np.sum((np.sum(np.square(a), axis=1) / a.shape[1] + 1) ** 3))
    return (_kernel_sum(a, a) - diagonal) / (len(a) * (len(a) - 1))


def _kernel_sum(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the sum of the kernel over all pairs of an image of `a` and an image of `b`."""
    return sum(
        float(np.sum((a[start : start + _PRODUCT_ROWS] @ b.T / a.shape[1] + 1) ** 3))
        for start in range(0, len(a), _PRODUCT_ROWS)
    )
