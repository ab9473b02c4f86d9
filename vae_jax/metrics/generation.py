"""How near generated images come to real ones, from the features of a fixed network.

Each figure depends on the network, so two of them can be compared only where the features are the same.

N and M images, D features, K classes.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

_PRODUCT_ROWS = 2048  # rows of a kernel matrix in memory at once


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and covariance (unbiased) of features."""

    mean: Float[np.ndarray, "D"]
    covariance: Float[np.ndarray, "D D"]


def moments(features: Float[np.ndarray, "N D"]) -> Moments:
    """Returns mean and covariance, in float64.

    Raises:
        ValueError: for fewer than two images.
    """
    if len(features) < 2:
        raise ValueError(f"{len(features)} images; a covariance needs two")
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    return Moments(mean, centred.T @ centred / (len(values) - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Fréchet distance of the Gaussians with these moments.

    |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), at least 0.

    The trace of the root is the sum of the singular values of S_a^(1/2) S_b^(1/2). Unlike the root of the
    product, which is not symmetric and of which `scipy.linalg.sqrtm` may give a complex one or none, it is
    real for every pair of covariances, of fewer images than features too.

    Source: Dowson and Landau 1982; on features, Heusel et al. 2017 (equation 6).
    """
    between = float(np.sum(np.square(a.mean - b.mean)))
    roots = _root(a.covariance) @ _root(b.covariance)
    overlap = float(np.linalg.svd(roots, compute_uv=False).sum())
    spread = float(np.trace(a.covariance) + np.trace(b.covariance))
    return max(between + spread - 2 * overlap, 0.0)


def _root(covariance: Float[np.ndarray, "D D"]) -> Float[np.ndarray, "D D"]:
    """Returns the symmetric root; what rounding makes of eigenvalue 0, on either side, counts as 0."""
    values, vectors = np.linalg.eigh(covariance)
    zero = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    values = np.where(values > zero, values, 0.0)
    return (vectors * np.sqrt(values)) @ vectors.T


def inception_score(
    probabilities: Float[np.ndarray, "N K"], num_splits: int = 10
) -> tuple[float, float]:
    """Inception Score: from 1 (one class, or never sure) to K (sure of each image, all classes alike).

    exp(E_x KL(p(y | x) || p(y))) of each of `num_splits` parts, taken in the order given.

    Returns:
        Mean and standard deviation over the parts.

    Raises:
        ValueError: if there are fewer images than parts.

    Source: Salimans et al. 2016.
    """
    if len(probabilities) < num_splits:
        raise ValueError(f"{len(probabilities)} images do not make {num_splits} parts")
    parts = np.array_split(probabilities.astype(np.float64), num_splits)
    scores = [_score(part) for part in parts]
    return float(np.mean(scores)), float(np.std(scores))


def _score(probabilities: np.ndarray) -> float:
    marginal = probabilities.mean(axis=0)
    # p log p is 0 where p is, and then the marginal may be 0 as well.
    ratio = np.divide(
        probabilities, marginal, out=np.ones_like(probabilities), where=probabilities > 0
    )
    return float(np.exp(np.mean(np.sum(probabilities * np.log(ratio), axis=1))))


def kernel_distance(a: Float[np.ndarray, "N D"], b: Float[np.ndarray, "M D"]) -> float:
    """Squared maximum mean discrepancy under the kernel (x . y / D + 1)^3, unbiased.

    mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean k(a_i, b_j). Its expectation is 0 for
    equal distributions at any number of images, which the Fréchet distance's is not; so it may come out
    below 0.

    Raises:
        ValueError: for fewer than two images on a side.

    Source: Binkowski et al. 2018, "Demystifying MMD GANs"; estimator of Gretton et al. 2012 (equation 3).
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"{len(a)} and {len(b)} images; the unbiased estimate needs two of each")
    a, b = a.astype(np.float64), b.astype(np.float64)
    return _mean_without_self(a) + _mean_without_self(b) - 2 * _sum(a, b) / (len(a) * len(b))


def _mean_without_self(a: np.ndarray) -> float:
    own = float(np.sum((np.sum(np.square(a), axis=1) / a.shape[1] + 1) ** 3))
    return (_sum(a, a) - own) / (len(a) * (len(a) - 1))


def _sum(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the sum of the kernel over all pairs."""
    return sum(
        float(np.sum((a[start : start + _PRODUCT_ROWS] @ b.T / a.shape[1] + 1) ** 3))
        for start in range(0, len(a), _PRODUCT_ROWS)
    )
