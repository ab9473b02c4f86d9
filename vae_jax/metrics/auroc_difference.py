"""The difference of two AUROCs on the same images, with an interval that also covers close to 1.

DeLong's interval of a difference, like the percentile interval of the bootstrap, misses too often where
errors are few: errors that the test set does not contain have no influence on the estimated variance. So
the interval is the union of two:

- DeLong's interval with Student's t;
- the interval of a model of the variance. Each AUROC has the variance of Newcombe 2006, and their
  correlation is the lower one of DeLong's and of the mean rank correlation of the scores within each label
  (Hanley and McNeil 1983). The model holds at each possible true difference, at the same mean of both
  AUROCs: a true difference belongs to the interval if the estimate is not further away than 1.96 of its
  standard deviations.

`docs/intervals.md` contains the coverage in simulations.
Names: `N` images.
"""

import math

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit
from scipy.stats import rankdata

from vae_jax.metrics import clusters, covering, delong

_Z = float(ndtri(0.975))
_SMALLEST = 1e-9


def subtract_aurocs(
    a: Float[np.ndarray, "N"],
    b: Float[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    groups: clusters.Groups = None,
) -> dict[str, float]:
    """Returns the AUROC of scores `a` minus that of `b` as `value`, with `low` and `high`, in [-1, 1].

    Images that are difficult for both scores do not widen the interval, so the difference can be certain
    although the intervals of both AUROCs overlap. If both scores order all images in the same way, the
    interval is a point.

    Args:
        a: scores; higher is more anomalous.
        b: other scores of the same images.
        labels: 0 normal, 1 anomaly.
        groups: the group of each image; None if all images are independent.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    numbers = clusters.number_groups(groups, len(labels))
    aurocs, covariance = delong.estimate([a, b], labels, numbers)
    value = float(aurocs[0] - aurocs[1])
    if np.array_equal(rankdata(a), rankdata(b)):
        return {"value": value, "low": value, "high": value}
    correlation = _correlate_within_labels(a, b, labels)
    first = value, value
    if covariance is not None:
        matrix = covariance.total
        product = float(matrix[0, 0] * matrix[1, 1])
        if product > 0:
            correlation = min(correlation, float(matrix[0, 1]) / math.sqrt(product))
        reach = _multiply_deviation(covariance)
        first = value - reach, value + reach
    sizes = [clusters.count_effectively(scores, labels, numbers) for scores in (a, b)]
    second = _model_interval(float(aurocs[0]), float(aurocs[1]), correlation, sizes)
    return {
        "value": value,
        "low": max(min(first[0], second[0]), -1.0),
        "high": min(max(first[1], second[1]), 1.0),
    }


def _multiply_deviation(covariance: clusters.Covariance) -> float:
    """Returns the standard deviation of the difference times the quantile of Student's t."""
    difference = covariance.subtract()
    variance = max(float(difference.total[0, 0]), 0.0)
    return float(stdtrit(max(difference.welch_degrees(), 1.0), 0.975)) * math.sqrt(variance)


def _correlate_within_labels(
    a: Float[np.ndarray, "N"], b: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]
) -> float:
    """Returns the mean rank correlation of normals and of anomalies; 0 where a score is constant."""
    correlations = []
    for label in (0, 1):
        ranks = [rankdata(scores[labels == label]) for scores in (a, b)]
        varied = all(np.ptp(values) > 0 for values in ranks)
        correlations.append(float(np.corrcoef(*ranks)[0, 1]) if varied else 0.0)
    return sum(correlations) / 2


def _model_interval(
    a: float, b: float, correlation: float, sizes: list[tuple[float, float]]
) -> tuple[float, float]:
    """Returns the lowest and highest true difference that two AUROCs are compatible with, at 95 %.

    Args:
        a: the first AUROC.
        b: the second AUROC.
        correlation: of both estimates.
        sizes: effective numbers of normals and of anomalies, for each AUROC.
    """
    value = a - b

    def excess(difference: float) -> float:
        # Both true values are in [0, 1], so close to an end their mean is not that of the estimates.
        middle = min(max((a + b) / 2, abs(difference) / 2), 1 - abs(difference) / 2)
        variances = [
            max(covering.mann_whitney_variance(middle + sign * difference / 2, *size), 0.0)
            for sign, size in zip((1, -1), sizes, strict=True)
        ]
        variance = sum(variances) - 2 * correlation * math.sqrt(variances[0] * variances[1])
        return abs(value - difference) - _Z * math.sqrt(max(variance, 0.0))

    ends = []
    for sign in (-1, 1):
        start, limit = value + sign * _SMALLEST, float(sign)
        inside = abs(start) < 1 and excess(start) < 0
        end = limit if excess(limit) < 0 else None
        ends.append((brentq(excess, start, limit) if end is None else end) if inside else value)
    return ends[0], ends[1]
