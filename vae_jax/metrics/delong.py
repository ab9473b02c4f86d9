"""Intervals of the AUROC without resampling, by DeLong's variance.

It checks the intervals of `metrics/bootstrap.py`, and is faster.
Names: `N` images, `M` normals, `P` anomalies, `S` scores.

Source: DeLong, DeLong and Clarke-Pearson 1988; the computation by midranks in O(N log N)
follows Sun and Xu 2014, "Fast implementation of DeLong's algorithm".
"""

import math

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from vae_jax.metrics import detection


def delong(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> dict[str, float]:
    """Returns the AUROC: `value`, its `variance`, and `low` and `high` of its 95 % interval in [0, 1].

    Raises:
        ValueError: if a score is NaN, or if there are fewer than two normals or two anomalies.
    """
    aurocs, covariance = _estimate([scores], labels)
    value, variance = float(aurocs[0]), float(covariance[0, 0])
    reach = float(ndtri(0.975)) * math.sqrt(variance)
    return {
        "value": value,
        "variance": variance,
        "low": max(value - reach, 0.0),
        "high": min(value + reach, 1.0),
    }


def delong_paired(
    a: Float[np.ndarray, "N"], b: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]
) -> dict[str, float]:
    """Returns the AUROC of scores `a` minus that of `b`, on the same images.

    Returns:
        The difference as `value`, its `variance`, `low` and `high` of its 95 % interval, and the two-sided
        `p_value` of the hypothesis that the AUROCs are equal. If the variance is 0, the p-value is 1 for
        equal AUROCs and 0 otherwise.

    Raises:
        ValueError: if a score is NaN, or if there are fewer than two normals or two anomalies.
    """
    aurocs, covariance = _estimate([a, b], labels)
    value = float(aurocs[0] - aurocs[1])
    variance = max(float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]), 0.0)
    deviation = math.sqrt(variance)
    reach = float(ndtri(0.975)) * deviation
    p_value = float(2 * ndtr(-abs(value) / deviation)) if deviation else float(value == 0)
    return {
        "value": value,
        "variance": variance,
        "low": value - reach,
        "high": value + reach,
        "p_value": p_value,
    }


def _estimate(
    scores: list[np.ndarray], labels: Int[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "S"], Float[np.ndarray, "S S"]]:
    """Returns the AUROC of each score, and the covariance of these AUROCs."""
    placements = [_placements(values, labels) for values in scores]
    of_anomalies, of_normals = (np.stack(rows) for rows in zip(*placements, strict=True))
    covariance = sum(
        np.atleast_2d(np.cov(values)) / values.shape[1] for values in (of_anomalies, of_normals)
    )
    return of_anomalies.mean(axis=1), covariance


def _placements(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "M"]]:
    """Returns the placements of one score.

    Returns:
        For each anomaly the share of normals below it, and for each normal the share of anomalies above it;
        a tie counts half.
    """
    detection.check_scores_and_labels(scores, labels)
    anomalous = labels == 1
    anomalies, normals = scores[anomalous], scores[~anomalous]
    if min(len(anomalies), len(normals)) < 2:
        raise ValueError(
            f"a variance needs at least two normals and two anomalies; found {len(normals)} normals "
            f"and {len(anomalies)} anomalies"
        )
    ranks = rankdata(scores)
    of_anomalies = (ranks[anomalous] - rankdata(anomalies)) / len(normals)
    of_normals = 1 - (ranks[~anomalous] - rankdata(normals)) / len(anomalies)
    return of_anomalies, of_normals
