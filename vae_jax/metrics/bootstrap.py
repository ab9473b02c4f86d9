"""Intervals of detection metrics by the stratified bootstrap.

Normals and anomalies are resampled separately, so each resample has as many of both as the test set.
Names: `N` images, `R` resamples, `K` distinct scores.

An interval describes how a metric varies over test images for the same trained model. How it varies over
training runs is the subject of `metrics/seeds.py`. The interval is a percentile interval: if no resample
contains an error, for example because the separation is perfect, it shrinks to the point [1, 1], although a
larger test set might contain an error.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from vae_jax.metrics import detection

_CHUNK = 2**21  # images of all resamples that are in memory at the same time


@dataclasses.dataclass(frozen=True)
class Ranking:
    """How well scores rank anomalies above normals: `auroc`, `auprc` and `fpr95`.

    Attributes:
        values: the metrics of the test set.
        resampled: the metrics of each resample. Rankings with the same seed and labels have the same images
            in each resample, whatever the scores are.
    """

    values: dict[str, float]
    resampled: dict[str, Float[np.ndarray, "R"]]

    def intervals(self) -> dict[str, dict[str, float]]:
        """Returns for each metric its `value` and the ends of its interval, `low` and `high`.

        An interval is widened if it does not contain its value. This happens because the ties in a
        resample bias its average precision upwards.
        """
        return {
            name: percentile_interval(value, self.resampled[name])
            for name, value in self.values.items()
        }

    def auroc_minus(self, other: "Ranking") -> dict[str, float]:
        """Returns the AUROC of this ranking minus that of another, with an interval, in [-1, 1].

        Both AUROCs of a resample come from the same images, so images that are difficult for both scores
        do not widen the interval. The difference can be certain although the two intervals overlap.
        """
        value = self.values["auroc"] - other.values["auroc"]
        return percentile_interval(value, self.resampled["auroc"] - other.resampled["auroc"])


def rank(
    scores: Float[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    num_resamples: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Measures how well scores rank the test set and resamples of it.

    Args:
        scores: higher is more anomalous.
        labels: 0 normal, 1 anomaly.
        num_resamples: R.
        seed: seed for the random choice of the resamples.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    values = {
        "auroc": detection.auroc(scores, labels),
        "auprc": detection.auprc(scores, labels),
        "fpr95": detection.fpr_at_tpr(scores, labels, 0.95),
    }
    chunks = list(_resample(scores, labels, num_resamples, seed))
    resampled = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in values}
    return Ranking(values, resampled)


def percentile_interval(value: float, resampled: Float[np.ndarray, "R"]) -> dict[str, float]:
    """Returns `value` with `low` and `high`, the 95 % percentile interval widened to contain it."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def _resample(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], num_resamples: int, seed: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the metrics of the resamples, one chunk of resamples after the other.

    The metrics of a resample follow from the number of its normals and anomalies at each distinct score,
    because images with the same score are interchangeable. So the scores are sorted only once.
    """
    detection.check_scores_and_labels(scores, labels)
    rng = np.random.default_rng(seed)
    distinct, rank = np.unique(-scores, return_inverse=True)
    ranks = [rank[labels == label] for label in (0, 1)]
    rows = max(1, _CHUNK // len(scores))
    for start in range(0, num_resamples, rows):
        size = min(rows, num_resamples - start)
        offset = np.arange(size)[:, None] * len(distinct)
        normals, anomalies = (
            np.bincount(
                (
                    class_ranks[rng.integers(len(class_ranks), size=(size, len(class_ranks)))]
                    + offset
                ).ravel(),
                minlength=size * len(distinct),
            ).reshape(size, len(distinct))
            for class_ranks in ranks
        )
        yield _measure(normals, anomalies)


def _measure(
    normals: Int[np.ndarray, "R K"], anomalies: Int[np.ndarray, "R K"]
) -> dict[str, Float[np.ndarray, "R"]]:
    """Returns the metrics of R test sets from their counts at K distinct scores in falling order."""
    false_alarms, hits = np.cumsum(normals, axis=1), np.cumsum(anomalies, axis=1)
    num_normals, num_anomalies = int(false_alarms[0, -1]), int(hits[0, -1])
    pairs_won = np.einsum("rk,rk->r", normals, 2 * hits - anomalies) / 2
    flagged = np.maximum(hits + false_alarms, 1)
    first_sufficient = np.argmax(hits >= detection.hits_needed(0.95, num_anomalies), axis=1)
    return {
        "auroc": pairs_won / (num_normals * num_anomalies),
        "auprc": np.einsum("rk,rk->r", anomalies, hits / flagged) / num_anomalies,
        "fpr95": np.take_along_axis(false_alarms, first_sufficient[:, None], axis=1)[:, 0]
        / num_normals,
    }
