"""Metrics of detection: how well scores rank anomalies above normals, and how good a decision is.

Higher scores are more anomalous, and the anomaly (label 1) is the positive class. Images with equal scores
are indistinguishable: no threshold flags one of them without the others.
Names: `N` images, `T` points of a curve.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class Curve:
    """Counts of flagged images at each threshold; an image is flagged if its score is above it.

    Attributes:
        threshold: the distinct scores in falling order, then one number just below the lowest score. No
            image is above the first threshold; every image is above the last one.
        hits: anomalies above the threshold.
        false_alarms: normals above the threshold.
    """

    threshold: Float[np.ndarray, "T"]
    hits: Int[np.ndarray, "T"]
    false_alarms: Int[np.ndarray, "T"]

    @property
    def recall(self) -> Float[np.ndarray, "T"]:
        """True-positive rate, rising from 0 to 1."""
        return self.hits / self.hits[-1]

    @property
    def fpr(self) -> Float[np.ndarray, "T"]:
        """False-positive rate, rising from 0 to 1."""
        return self.false_alarms / self.false_alarms[-1]

    @property
    def precision(self) -> Float[np.ndarray, "T"]:
        """Share of anomalies among the flagged; 1 at the first point, where nothing is flagged."""
        flagged = self.hits + self.false_alarms
        return np.append(1.0, self.hits[1:] / flagged[1:])

    @property
    def f1(self) -> Float[np.ndarray, "T"]:
        """Harmonic mean of precision and recall; 0 at the first point."""
        return 2 * self.hits / (self.hits[-1] + self.hits + self.false_alarms)


def compute_curve(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> Curve:
    """Returns the counts from which the ROC curve and the precision-recall curve follow.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    check_scores_and_labels(scores, labels)
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last_of_tie = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    hits = np.cumsum(labels[order] == 1)[last_of_tie]
    return Curve(
        threshold=np.append(falling[last_of_tie], np.nextafter(falling[-1], -np.inf)),
        hits=np.append(0, hits),
        false_alarms=np.append(0, last_of_tie + 1 - hits),
    )


def check_scores_and_labels(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> None:
    """Refuses scores and labels that have no ranking.

    A NaN cannot be ranked: it is neither above nor below any other score.

    Raises:
        ValueError: if a score is NaN, if a label is neither 0 nor 1, or if there is only one class.
    """
    num_nan = int(np.isnan(scores).sum())
    if num_nan:
        raise ValueError(f"{num_nan} of {len(scores)} scores are NaN; a ranking needs numbers")
    classes = np.unique(labels).tolist()
    if classes != [0, 1]:
        raise ValueError(f"labels are {classes}; a ranking needs both 0 (normal) and 1 (anomaly)")


def auroc(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> float:
    """Returns the probability that an anomaly scores above a normal; a tie counts half.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    curve = compute_curve(scores, labels)
    # Counting whole pairs gives exactly 1 for perfect separation, without a rounding error.
    twice_pairs_won = np.sum(np.diff(curve.false_alarms) * (curve.hits[1:] + curve.hits[:-1]))
    return float(twice_pairs_won / (2 * curve.hits[-1] * curve.false_alarms[-1]))


def auprc(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> float:
    """Returns the average precision: the mean of the precision at the score of each anomaly.

    Points are not interpolated, because interpolation is optimistic (Davis and Goadrich 2006).

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    curve = compute_curve(scores, labels)
    return float(np.sum(np.diff(curve.hits) * curve.precision[1:]) / curve.hits[-1])


def fpr_at_tpr(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], tpr: float = 0.95
) -> float:
    """Returns the lowest false-positive rate at which at least the share `tpr` of anomalies is flagged.

    Images with equal scores are flagged together, so the true-positive rate can exceed `tpr`.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    curve = compute_curve(scores, labels)
    first_sufficient = np.argmax(curve.hits >= hits_needed(tpr, int(curve.hits[-1])))
    return float(curve.fpr[first_sufficient])


def hits_needed(tpr: float, num_anomalies: int) -> int:
    """Returns the smallest number of anomalies whose share is at least `tpr`."""
    # The small term corrects rounding: 0.95 * 20 may come out a little above 19.
    return math.ceil(tpr * num_anomalies - 1e-9)


def measure_oracle(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]
) -> dict[str, float | dict[str, float]]:
    """Returns the metrics at the best threshold, which is chosen by the test labels.

    This is an upper bound for every threshold on these scores, and not a result.

    Returns:
        `threshold`, `accuracy` and `f1` at the largest value of Youden's J = TPR - FPR, and under `best_f1`
        the `threshold` and `f1` at the largest F1. Of equally good thresholds the highest is taken. An
        image is flagged if its score is above the threshold.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    curve = compute_curve(scores, labels)
    youden = int(np.argmax(curve.recall - curve.fpr))
    correct = curve.hits[youden] + curve.false_alarms[-1] - curve.false_alarms[youden]
    best_f1 = int(np.argmax(curve.f1))
    return {
        "threshold": float(curve.threshold[youden]),
        "accuracy": float(correct / len(scores)),
        "f1": float(curve.f1[youden]),
        "best_f1": {"threshold": float(curve.threshold[best_f1]), "f1": float(curve.f1[best_f1])},
    }


def measure_decision(
    flagged: Bool[np.ndarray, "N"], labels: Int[np.ndarray, "N"], classes: Sequence[str]
) -> dict[str, float | dict[str, float]]:
    """Returns the metrics of a decision for each image.

    Args:
        flagged: whether each image was decided to be anomalous.
        labels: 0 normal, 1 anomaly.
        classes: name of each image's class.

    Returns:
        `accuracy` of all images; `fpr`, the share of normals that are flagged; `recall`, the share of
        anomalies that are flagged; `precision`, the share of anomalies among the flagged images, 0 if none
        is flagged; `f1` of precision and recall; `per_class`, the recall of each anomalous class and the
        specificity of each normal class. Without normals there is no `fpr`; without anomalies there is no
        `recall`, `precision` or `f1`; without images there is no `accuracy`.
    """
    anomalous = labels == 1
    correct = flagged == anomalous
    names = np.asarray(classes)
    metrics: dict[str, float | dict[str, float]] = {}
    if len(flagged):
        metrics["accuracy"] = float(correct.mean())
    if anomalous.any():
        hits = int(np.sum(flagged & anomalous))
        metrics["precision"] = hits / max(int(flagged.sum()), 1)
        metrics["recall"] = float(flagged[anomalous].mean())
        metrics["f1"] = 2 * hits / int(flagged.sum() + anomalous.sum())
    if not anomalous.all():
        metrics["fpr"] = float(flagged[~anomalous].mean())
    metrics["per_class"] = {
        str(name): float(correct[names == name].mean()) for name in np.unique(names)
    }
    return metrics
