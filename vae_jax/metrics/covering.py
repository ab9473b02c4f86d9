"""Intervals of a proportion-like estimate in [0, 1] that also cover close to 0 and 1.

The estimate is an AUROC or an average precision. A normal interval around it, and the percentile interval
of the bootstrap, miss too often close to 1, where most misses flatter: errors that the test set does not
contain have no influence on the estimated variance. So an interval here is the union of two:

- the interval on the logit scale, from the variance of the estimate and Student's t;
- the interval of a model of the variance, which is not 0 for an estimate of 1. The model holds at each
  possible true value and not at the estimate: a true value belongs to the interval if the estimate is not
  further away than 1.96 of its standard deviations.

`docs/intervals.md` contains the coverage in simulations.
"""

import math
from collections.abc import Callable

from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri, stdtrit

from vae_jax.metrics import clusters

_Z = float(ndtri(0.975))
_SMALLEST = 1e-12


def logit_interval(value: float, variance: float, degrees: float) -> tuple[float, float]:
    """Returns the ends of the 95 % interval on the logit scale; both are `value` if it is 0 or 1.

    Args:
        value: the estimate, in [0, 1].
        variance: its estimated variance.
        degrees: degrees of freedom of the variance.
    """
    if not _SMALLEST < value < 1 - _SMALLEST:
        return value, value
    quantile = float(stdtrit(max(degrees, 1.0), 0.975))
    reach = quantile * math.sqrt(max(variance, 0.0)) / (value * (1 - value))
    middle = float(logit(value))
    return float(expit(middle - reach)), float(expit(middle + reach))


def model_interval(value: float, variance_at: Callable[[float], float]) -> tuple[float, float]:
    """Returns the lowest and highest true value that an estimate is compatible with, at 95 %.

    Args:
        value: the estimate, in [0, 1].
        variance_at: true value in (0, 1) -> variance of the estimate; 0 at 0 and at 1.
    """

    def excess(true_value: float) -> float:
        return abs(value - true_value) - _Z * math.sqrt(max(variance_at(true_value), 0.0))

    low, high = 0.0, 1.0
    if value > _SMALLEST:
        low = brentq(excess, 0.0, min(value, 1 - _SMALLEST))
    if value < 1 - _SMALLEST:
        high = brentq(excess, max(value, _SMALLEST), 1.0)
    return low, high


def combine_intervals(
    value: float, covariance: clusters.Covariance | None, model: tuple[float, float]
) -> dict[str, float]:
    """Returns `value` with `low` and `high` of the union of both intervals.

    Args:
        value: the estimate, in [0, 1].
        covariance: covariance of the estimate alone; None if it is unknown, and then the model decides.
        model: the result of `model_interval`.
    """
    if covariance is None:
        return unite(value, model, model)
    variance, degrees = float(covariance.total[0, 0]), covariance.welch_degrees()
    return unite(value, logit_interval(value, variance, degrees), model)


def unite(
    value: float, first: tuple[float, float], second: tuple[float, float]
) -> dict[str, float]:
    """Returns `value` with `low` and `high`, the ends of both intervals together with the value."""
    return {
        "value": value,
        "low": max(min(*first, *second, value), 0.0),
        "high": min(max(*first, *second, value), 1.0),
    }


def mann_whitney_variance(true_value: float, num_normals: float, num_anomalies: float) -> float:
    """Returns the variance of an AUROC whose true value is `true_value`.

    The sizes may be effective ones. Source: Newcombe 2006, "Confidence intervals for an effect size measure
    based on the Mann-Whitney statistic. Part 2", method 5; it simplifies Hanley and McNeil 1982.
    """
    t = true_value
    half = (num_normals + num_anomalies) / 2 - 1
    factor = 1 + half * ((1 - t) / (2 - t) + t / (1 + t))
    return t * (1 - t) * factor / (num_normals * num_anomalies)


def binomial_variance(true_value: float, size: float) -> float:
    """Returns the variance of a proportion of `size` images; it leads to the interval of Wilson 1927."""
    return true_value * (1 - true_value) / size
