"""The average precision (AUPRC) with its interval, without resampling.

Names: `N` images, `M` normals, `P` anomalies, `T` distinct scores in falling order.

At the score of an anomaly, h anomalies and f normals have this score or a higher one, and the precision is
h / (h + f). The average precision is the mean of this precision over the anomalies. One more anomaly among
the h changes the precision by about f / (h + f)^2, one more normal by about -h / (h + f)^2. So the
influence of an image on the average precision is a sum of these derivatives over the anomalies that it
precedes (the infinitesimal jackknife, Efron 1982); an anomaly also adds its own precision.
"""

import numpy as np
from jaxtyping import Float, Int

from vae_jax.metrics import clusters, covering, detection


def measure_auprc(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], groups: clusters.Groups = None
) -> dict[str, float]:
    """Returns the average precision as `value`, with `low` and `high` of its 95 % interval in [0, 1].

    The interval is for the share of anomalies of the test set. It is the union of the logit interval with
    the variance of the influences and of Wilson's interval of a proportion of the anomalies, which Boyd,
    Eng and Page 2013, "Area under the precision-recall curve: point estimates and confidence intervals",
    compare for this measure; `metrics/covering.py` explains why it is a union.

    Args:
        scores: higher is more anomalous.
        labels: 0 normal, 1 anomaly.
        groups: the group of each image; None if all images are independent.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    value = detection.auprc(scores, labels)
    numbers, anomalous = clusters.number_groups(groups, len(scores)), labels == 1
    size = clusters.effective_size(scores[anomalous], numbers[anomalous])
    wilson = covering.model_interval(
        value, lambda true_value: covering.binomial_variance(true_value, size)
    )
    of_anomalies, of_normals = compute_influences(scores, labels)
    covariance = clusters.sum_covariance(
        of_anomalies[None], of_normals[None], numbers[anomalous], numbers[~anomalous]
    )
    return covering.combine_intervals(value, covariance, wilson)


def compute_influences(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]
) -> tuple[Float[np.ndarray, "P"], Float[np.ndarray, "M"]]:
    """Returns how much each anomaly, and each normal, influences the average precision.

    The values of a label are the derivatives with respect to the weight of an image, times the number of
    images of this label, up to a constant.
    """
    curve = detection.compute_curve(scores, labels)
    hits, false_alarms = curve.hits[1:], curve.false_alarms[1:]
    num_anomalies, num_normals = int(hits[-1]), int(false_alarms[-1])
    anomalies_at = np.diff(curve.hits)
    flagged_squared = (hits + false_alarms).astype(np.float64) ** 2
    by_anomaly = _sum_from(anomalies_at * false_alarms / flagged_squared)
    by_normal = _sum_from(anomalies_at * hits / flagged_squared)
    place = np.searchsorted(-curve.threshold[:-1], -scores)  # the same for tied images
    precision = hits / (hits + false_alarms)
    anomalous = labels == 1
    of_anomalies = (precision + by_anomaly)[place[anomalous]]
    of_normals = -by_normal[place[~anomalous]] * num_normals / num_anomalies
    return of_anomalies, of_normals


def _sum_from(values: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T"]:
    """Returns the sum of each value and of all that follow it."""
    return np.cumsum(values[::-1])[::-1]
