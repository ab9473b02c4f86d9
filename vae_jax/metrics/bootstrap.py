"""How well scores rank a test set, with intervals; the bootstrap of detection metrics.

Whole groups of images are resampled. Groups of normals, groups of anomalies and groups with both labels are
resampled separately, so if every image is a group of its own, each resample has as many of both labels as
the test set.
Names: `N` images, `G` groups, `R` resamples, `K` distinct scores.

An interval describes how a metric varies over test images for the same trained model. How it varies over
training runs is the subject of `metrics/seeds.py`. The intervals of AUROC and AUPRC need no resamples
(`metrics/delong.py`, `metrics/average_precision.py`), because percentile intervals miss too often close to
1. The false-positive rate and paired differences have percentile intervals.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from vae_jax.metrics import clusters, detection
from vae_jax.metrics.average_precision import measure_auprc
from vae_jax.metrics.delong import delong

_CHUNK = 2**21  # images of all resamples that are in memory at the same time


@dataclasses.dataclass(frozen=True)
class Ranking:
    """How well scores rank anomalies above normals: `auroc`, `auprc` and `fpr95`.

    Attributes:
        covered: AUROC and AUPRC with their intervals.
        fpr95: the false-positive rate at 95 % recall.
        resampled: `auroc` and `fpr95` of each resample. Rankings with the same seed, labels and groups have
            the same images in each resample, whatever the scores are.
    """

    covered: dict[str, dict[str, float]]
    fpr95: float
    resampled: dict[str, Float[np.ndarray, "R"]]

    def intervals(self) -> dict[str, dict[str, float]]:
        """Returns for each metric its `value` and the ends of its interval, `low` and `high`."""
        return self.covered | {"fpr95": percentile_interval(self.fpr95, self.resampled["fpr95"])}

    def auroc_minus(self, other: "Ranking") -> dict[str, float]:
        """Returns the AUROC of this ranking minus that of another, with an interval, in [-1, 1].

        Both AUROCs of a resample come from the same images, so images that are difficult for both scores
        do not widen the interval. The difference can be certain although the two intervals overlap.
        """
        value = self.covered["auroc"]["value"] - other.covered["auroc"]["value"]
        return percentile_interval(value, self.resampled["auroc"] - other.resampled["auroc"])


def rank(
    scores: Float[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    num_resamples: int = 1000,
    seed: int = 0,
    groups: clusters.Groups = None,
) -> Ranking:
    """Measures how well scores rank the test set and resamples of it.

    Args:
        scores: higher is more anomalous.
        labels: 0 normal, 1 anomaly.
        num_resamples: R.
        seed: seed for the random choice of the resamples.
        groups: the group of each image; None if all images are independent.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    covered = {
        "auroc": delong(scores, labels, groups),
        "auprc": measure_auprc(scores, labels, groups),
    }
    numbers = clusters.number_groups(groups, len(scores))
    chunks = list(_resample(scores, labels, numbers, num_resamples, seed))
    resampled = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return Ranking(covered, detection.fpr_at_tpr(scores, labels, 0.95), resampled)


def percentile_interval(value: float, resampled: Float[np.ndarray, "R"]) -> dict[str, float]:
    """Returns `value` with `low` and `high`, the 95 % percentile interval widened to contain it."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def _resample(
    scores: Float[np.ndarray, "N"],
    labels: Int[np.ndarray, "N"],
    groups: Int[np.ndarray, "N"],
    num_resamples: int,
    seed: int,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the metrics of the resamples, one chunk of resamples after the other.

    The metrics of a resample follow from the number of its normals and anomalies at each distinct score,
    because images with the same score are interchangeable. So the scores are sorted only once.
    """
    rng = np.random.default_rng(seed)
    strata = _make_strata(labels, groups)
    distinct, rank = np.unique(-scores, return_inverse=True)
    rows = max(1, _CHUNK // len(scores))
    for start in range(0, num_resamples, rows):
        size = min(rows, num_resamples - start)
        counts = np.zeros((2, size * len(distinct)), np.int64)
        for members, sizes in strata:
            chosen = rng.integers(len(sizes), size=(size, len(sizes)))
            images, resample = _list_images(chosen, members, sizes)
            place = rank[images] + resample * len(distinct)
            present = np.unique(labels[members])
            for label in present:
                of_label = place.ravel() if len(present) == 1 else place[labels[images] == label]
                counts[label] += np.bincount(of_label, minlength=counts.shape[1])
        yield _measure(*counts.reshape(2, size, len(distinct)))


def _make_strata(
    labels: Int[np.ndarray, "N"], groups: Int[np.ndarray, "N"]
) -> list[tuple[Int[np.ndarray, "n"], Int[np.ndarray, "g"]]]:
    """Returns for groups of normals, of anomalies and of both: their images group by group, their sizes."""
    num_anomalies = np.bincount(groups, labels)
    sizes = np.bincount(groups)
    kinds = np.where(num_anomalies == 0, 0, np.where(num_anomalies == sizes, 1, 2))
    order = np.argsort(groups, kind="stable")
    strata = [(order[kinds[groups[order]] == kind], sizes[kinds == kind]) for kind in range(3)]
    return [(members, sizes) for members, sizes in strata if len(sizes)]


def _list_images(
    chosen: Int[np.ndarray, "R g"], members: Int[np.ndarray, "n"], sizes: Int[np.ndarray, "g"]
) -> tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]:
    """Returns the images of the chosen groups, and the number of the resample that each belongs to."""
    resamples = np.arange(len(chosen))[:, None]
    if len(sizes) == len(members):  # every image is a group of its own
        return members[chosen], np.broadcast_to(resamples, chosen.shape)
    starts = np.cumsum(sizes) - sizes
    lengths = sizes[chosen.ravel()]
    first = np.cumsum(lengths) - lengths
    within = np.arange(lengths.sum()) - np.repeat(first, lengths)
    images = members[np.repeat(starts[chosen.ravel()], lengths) + within]
    return images, np.repeat(np.broadcast_to(resamples, chosen.shape).ravel(), lengths)


def _measure(
    normals: Int[np.ndarray, "R K"], anomalies: Int[np.ndarray, "R K"]
) -> dict[str, Float[np.ndarray, "R"]]:
    """Returns the metrics of R test sets from their counts at K distinct scores in falling order."""
    false_alarms, hits = np.cumsum(normals, axis=1), np.cumsum(anomalies, axis=1)
    num_normals, num_anomalies = false_alarms[:, -1], hits[:, -1]
    pairs_won = np.einsum("rk,rk->r", normals, 2 * hits - anomalies) / 2
    needed = [detection.hits_needed(0.95, int(number)) for number in num_anomalies]
    first_sufficient = np.argmax(hits >= np.array(needed)[:, None], axis=1)
    return {
        "auroc": pairs_won / (num_normals * num_anomalies),
        "fpr95": np.take_along_axis(false_alarms, first_sufficient[:, None], axis=1)[:, 0]
        / num_normals,
    }
