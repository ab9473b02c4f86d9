"""How well scores rank anomalies above normals: AUROC, AUPRC and FPR95, each with its 95 % interval.

An interval describes how a metric varies over test images for the same trained model. How it varies over
training runs is the subject of `metrics/seeds.py`.
Names: `N` images.
"""

import numpy as np
from jaxtyping import Float, Int

from vae_jax.metrics import clusters
from vae_jax.metrics.average_precision import measure_auprc
from vae_jax.metrics.delong import delong
from vae_jax.metrics.false_positive_rate import measure_fpr95

Ranking = dict[str, dict[str, float]]


def measure_ranking(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], groups: clusters.Groups = None
) -> Ranking:
    """Returns `auroc`, `auprc` and `fpr95`, each as `value` with `low` and `high` of its interval.

    Args:
        scores: higher is more anomalous.
        labels: 0 normal, 1 anomaly.
        groups: the group of each image; None if all images are independent.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    return {
        "auroc": delong(scores, labels, groups),
        "auprc": measure_auprc(scores, labels, groups),
        "fpr95": measure_fpr95(scores, labels, groups),
    }
