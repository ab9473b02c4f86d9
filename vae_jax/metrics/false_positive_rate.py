"""The false-positive rate at 95 % recall (FPR95) with its interval, without resampling.

It depends on two unknown numbers: the threshold above which 95 % of all possible anomalies lie, and the
share of all possible normals above this threshold. Each is uncertain, and the interval combines both
without any assumption about the distributions of the scores:

- For each possible place of the threshold between two anomalies of the test set, the binomial distribution
  says how surprising the number of anomalies below it would be: z_t standard deviations (with the
  mid-p-value of Lancaster 1961).
- For this threshold, the interval of the share of normals (Jeffreys's interval; Brown, Cai and DasGupta
  2001) has a reach of z_n standard deviations, where z_t^2 + z_n^2 = 1.96^2. So a surprising threshold is
  not combined with a surprising share.

The interval contains what any threshold allows. With fewer than 59 independent anomalies the threshold may
lie below all anomalies of the test set, so its upper end is 1.
Names: `N` images, `M` normals, `P` anomalies.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.special import betainc, betaincinv, ndtr, ndtri

from vae_jax.metrics import clusters, detection

_RECALL = 0.95
_Z = float(ndtri(0.975))


def measure_fpr95(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], groups: clusters.Groups = None
) -> dict[str, float]:
    """Returns the false-positive rate at 95 % recall as `value`, with `low` and `high` of its interval.

    With groups, the numbers of images in both distributions are effective ones.

    Args:
        scores: higher is more anomalous.
        labels: 0 normal, 1 anomaly.
        groups: the group of each image; None if all images are independent.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    value = detection.fpr_at_tpr(scores, labels, _RECALL)
    anomalous = labels == 1
    normals, anomalies = np.sort(scores[~anomalous]), np.sort(scores[anomalous])
    numbers = clusters.number_groups(groups, len(scores))
    num_normals, num_anomalies = clusters.count_effectively(scores, labels, numbers)
    # The share of normals that are flagged by a threshold at each anomaly.
    shares = 1 - np.searchsorted(normals, anomalies) / len(normals)
    # If k anomalies lie below the threshold, it flags no more normals than a threshold at the last of these
    # k anomalies, and no fewer than a threshold at the next anomaly.
    below = np.arange(len(anomalies) + 1) * (num_anomalies / len(anomalies))
    rank = _find_rank(below, num_anomalies)
    highest = _find_end(np.append(1.0, shares), num_normals, 1 - rank, is_upper=True)
    lowest = _find_end(np.append(shares, 0.0), num_normals, rank, is_upper=False)
    return {"value": value, "low": min(lowest, value), "high": max(highest, value)}


def _find_rank(below: Float[np.ndarray, "K"], num_anomalies: float) -> Float[np.ndarray, "K"]:
    """Returns how probable fewer anomalies below the threshold are; as many count half.

    Args:
        below: numbers of anomalies below the threshold; they may be fractions.
        num_anomalies: P.
    """

    def at_most(count: Float[np.ndarray, "K"]) -> Float[np.ndarray, "K"]:
        k = np.clip(count, 0, num_anomalies)
        inside = (count >= 0) & (k < num_anomalies)
        k = np.where(inside, k, 0)
        return np.where(inside, betainc(num_anomalies - k, k + 1, _RECALL), count >= 0)

    return (at_most(below) + at_most(below - 1)) / 2


def _find_end(
    shares: Float[np.ndarray, "K"],
    num_normals: float,
    surprise: Float[np.ndarray, "K"],
    is_upper: bool,
) -> float:
    """Returns the end of the interval, over all thresholds that are not too surprising.

    Args:
        shares: share of the normals that each threshold flags.
        num_normals: M.
        surprise: probability of a less extreme number of anomalies below each threshold.
        is_upper: which end.
    """
    distance = np.maximum(ndtri(surprise), 0)
    possible = distance < _Z
    shares = shares[possible]
    tail = ndtr(-np.sqrt(_Z**2 - distance[possible] ** 2))
    flagged, passed = shares * num_normals + 0.5, (1 - shares) * num_normals + 0.5
    if is_upper:
        return float(np.max(np.where(shares < 1, betaincinv(flagged, passed, 1 - tail), 1.0)))
    return float(np.min(np.where(shares > 0, betaincinv(flagged, passed, tail), 0.0)))
