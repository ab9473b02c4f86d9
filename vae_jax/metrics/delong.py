"""The AUROC with its interval, and the p-value of a difference, by DeLong's variance.

Names: `N` images, `M` normals, `P` anomalies, `S` scores.

Sources: DeLong, DeLong and Clarke-Pearson 1988; the computation by midranks in O(N log N) follows Sun and
Xu 2014, "Fast implementation of DeLong's algorithm"; Obuchowski 1997 for groups of images.
"""

import math

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from vae_jax.metrics import clusters, covering, detection


def delong(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], groups: clusters.Groups = None
) -> dict[str, float]:
    """Returns the AUROC as `value`, with `low` and `high` of its 95 % interval in [0, 1].

    The interval is the union of the logit interval with DeLong's variance and of Newcombe's interval with
    the effective numbers of images; `metrics/covering.py` explains why.

    Args:
        scores: higher is more anomalous.
        labels: 0 normal, 1 anomaly.
        groups: the group of each image; None if all images are independent.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    detection.check_scores_and_labels(scores, labels)
    numbers = clusters.number_groups(groups, len(scores))
    aurocs, covariance = estimate([scores], labels, numbers)
    value = float(aurocs[0])
    sizes = clusters.count_effectively(scores, labels, numbers)
    newcombe = covering.model_interval(
        value, lambda true_value: covering.mann_whitney_variance(true_value, *sizes)
    )
    return covering.combine_intervals(value, covariance, newcombe)


def delong_paired(
    a: Float[np.ndarray, "N"],
    b: Float[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    groups: clusters.Groups = None,
) -> dict[str, float]:
    """Returns the AUROC of scores `a` minus that of `b`, on the same images.

    Args:
        a: scores; higher is more anomalous.
        b: other scores of the same images.
        labels: 0 normal, 1 anomaly.
        groups: the group of each image; None if all images are independent.

    Returns:
        The difference as `value`, its `variance`, `low` and `high` of its 95 % interval, and the two-sided
        `p_value` of the hypothesis that the AUROCs are equal. If the variance is 0, the p-value is 1 for
        equal AUROCs and 0 otherwise.

    Raises:
        ValueError: if a score is NaN, or if a label has fewer than two groups of images.
    """
    numbers = clusters.number_groups(groups, len(labels))
    aurocs, covariance = estimate([a, b], labels, numbers)
    if covariance is None:
        counts = [len(np.unique(numbers[labels == label])) for label in (0, 1)]
        raise ValueError(
            f"a variance needs at least two normals and two anomalies; found {counts[0]} normals "
            f"and {counts[1]} anomalies of different groups"
        )
    value = float(aurocs[0] - aurocs[1])
    variance = max(float(covariance.subtract().total[0, 0]), 0.0)
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


def estimate(
    scores: list[np.ndarray], labels: Int[np.ndarray, "N"], groups: Int[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "S"], clusters.Covariance | None]:
    """Returns the AUROC of each score, and the covariance of these AUROCs if it can be estimated."""
    placements = [_placements(values, labels) for values in scores]
    of_anomalies, of_normals = (np.stack(rows) for rows in zip(*placements, strict=True))
    covariance = clusters.sum_covariance(
        of_anomalies, of_normals, groups[labels == 1], groups[labels == 0]
    )
    return np.array([detection.auroc(values, labels) for values in scores]), covariance


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
    ranks = rankdata(scores)
    of_anomalies = (ranks[anomalous] - rankdata(anomalies)) / len(normals)
    of_normals = 1 - (ranks[~anomalous] - rankdata(normals)) / len(anomalies)
    return of_anomalies, of_normals
