"""Intervals of detection metrics by the stratified bootstrap.

Normals and anomalies are resampled apart, so that each resample has as many of both as the test set.
N images, R resamples, K distinct scores.

An interval speaks of other test images under the same trained model, not of another training run
(`metrics/seeds.py`). It is a percentile interval: where no resample contains a mistake, as with perfect
separation, it shrinks to the point [1, 1], although a larger test set might well contain one.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from vae_jax.metrics import detection

_CHUNK = 2**21  # images of the resamples that are in memory at once


@dataclasses.dataclass(frozen=True)
class Ranking:
    """How well scores rank anomalies above normals: `auroc`, `auprc` and `fpr95`.

    Attributes:
        values: of the test set as it is.
        resampled: of each resample; the same seed drew the same images, whatever their scores.
    """

    values: dict[str, float]
    resampled: dict[str, Float[np.ndarray, "R"]]

    def intervals(self) -> dict[str, dict[str, float]]:
        """Returns each measure as a `value` with the `low` and `high` end of its interval.

        Each interval is widened, where that is necessary, to hold its value: an average precision of
        resamples is biased upwards by their ties.
        """
        return {name: interval(value, self.resampled[name]) for name, value in self.values.items()}

    def auroc_minus(self, other: "Ranking") -> dict[str, float]:
        """Returns the difference of two AUROCs of the same images, with its interval, in [-1, 1].

        Both are measured on the same resampled images, so what makes an image hard for either cancels:
        the difference may be certain where the intervals of the two overlap.
        """
        value = self.values["auroc"] - other.values["auroc"]
        return interval(value, self.resampled["auroc"] - other.resampled["auroc"])


def rank(
    scores: Float[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    num_resamples: int = 1000,
    seed: int = 0,
) -> Ranking:
    """Measures scores on the test set and on resamples of it.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    values = {
        "auroc": detection.auroc(scores, labels),
        "auprc": detection.auprc(scores, labels),
        "fpr95": detection.fpr_at_tpr(scores, labels, 0.95),
    }
    chunks = list(_resample(scores, labels, num_resamples, seed))
    return Ranking(values, {name: np.concatenate([c[name] for c in chunks]) for name in values})


def interval(value: float, resampled: Float[np.ndarray, "R"]) -> dict[str, float]:
    """Returns `value`, `low` and `high`: the 95 % percentile interval, widened to hold the value."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def _resample(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], num_resamples: int, seed: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the metrics of the resamples, chunk by chunk.

    A resample is a count for each image, and images of one score are interchangeable: sorted once, all
    that a resample needs is how many normals and anomalies fell on each distinct score.
    """
    detection.check(scores, labels)
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
                    of_class[rng.integers(len(of_class), size=(size, len(of_class)))] + offset
                ).ravel(),
                minlength=size * len(distinct),
            ).reshape(size, len(distinct))
            for of_class in ranks
        )
        yield _measure(normals, anomalies)


def _measure(
    normals: Int[np.ndarray, "R K"], anomalies: Int[np.ndarray, "R K"]
) -> dict[str, Float[np.ndarray, "R"]]:
    """Returns the metrics of R test sets, given as counts at K distinct scores in falling order."""
    false_alarms, hits = np.cumsum(normals, axis=1), np.cumsum(anomalies, axis=1)
    num_normals, num_anomalies = int(false_alarms[0, -1]), int(hits[0, -1])
    pairs_won = np.einsum("rk,rk->r", normals, 2 * hits - anomalies) / 2
    flagged = np.maximum(hits + false_alarms, 1)
    enough = np.argmax(hits >= detection.hits_needed(0.95, num_anomalies), axis=1)
    return {
        "auroc": pairs_won / (num_normals * num_anomalies),
        "auprc": np.einsum("rk,rk->r", anomalies, hits / flagged) / num_anomalies,
        "fpr95": np.take_along_axis(false_alarms, enough[:, None], axis=1)[:, 0] / num_normals,
    }
