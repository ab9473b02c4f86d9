"""How well scores tell anomalies from normals, and how good a decision was.

Higher scores are more anomalous, the anomaly (label 1) is the positive class. N images, T points of a
curve. Images with equal scores are indistinguishable: no threshold flags one without the other.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class Curve:
    """What happens as the threshold falls through the distinct scores; an image above it is flagged.

    Attributes:
        threshold: the distinct scores in falling order, so that at the first nothing is flagged; then
            the next number below them all, where everything is.
        hits: anomalies above the threshold.
        false_alarms: normals above the threshold.
    """

    threshold: Float[np.ndarray, "T"]
    hits: Int[np.ndarray, "T"]
    false_alarms: Int[np.ndarray, "T"]

    @property
    def recall(self) -> Float[np.ndarray, "T"]:
        """True positive rate, from 0 to 1."""
        return self.hits / self.hits[-1]

    @property
    def fpr(self) -> Float[np.ndarray, "T"]:
        """False positive rate, from 0 to 1."""
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


def curve(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> Curve:
    """Returns the counts behind the ROC and the precision-recall curve.

    Raises:
        ValueError: if a score is NaN, or if the labels hold only one class.
    """
    check(scores, labels)
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    last_of_tie = np.flatnonzero(np.append(falling[1:] != falling[:-1], True))
    hits = np.cumsum(labels[order] == 1)[last_of_tie]
    return Curve(
        threshold=np.append(falling[last_of_tie], np.nextafter(falling[-1], -np.inf)),
        hits=np.append(0, hits),
        false_alarms=np.append(0, last_of_tie + 1 - hits),
    )


def check(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> None:
    """Refuses what has no ranking.

    A NaN is neither the most nor the least anomalous, so it is no score at all.

    Raises:
        ValueError: if a score is NaN, if a label is neither 0 nor 1, or if there is only one class.
    """
    num_nan = int(np.isnan(scores).sum())
    if num_nan:
        raise ValueError(f"{num_nan} of {len(scores)} scores are NaN")
    classes = np.unique(labels).tolist()
    if classes != [0, 1]:
        raise ValueError(f"labels are {classes}; ranking needs both 0 (normal) and 1 (anomaly)")


def auroc(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> float:
    """Returns the probability that an anomaly scores above a normal, ties counted half.

    Raises:
        ValueError: as `curve`.
    """
    found = curve(scores, labels)
    # In whole pairs, so that perfect separation is 1 and not a rounding error more.
    twice_won = np.sum(np.diff(found.false_alarms) * (found.hits[1:] + found.hits[:-1]))
    return float(twice_won / (2 * found.hits[-1] * found.false_alarms[-1]))


def auprc(scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]) -> float:
    """Returns the average precision: the mean of the precision at each anomaly's own score.

    No interpolation between points, which would flatter (Davis and Goadrich 2006).

    Raises:
        ValueError: as `curve`.
    """
    found = curve(scores, labels)
    return float(np.sum(np.diff(found.hits) * found.precision[1:]) / found.hits[-1])


def fpr_at_tpr(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"], tpr: float = 0.95
) -> float:
    """Returns the least false positive rate at which at least `tpr` of the anomalies are flagged.

    Tied images are flagged together, so the true positive rate may exceed `tpr`.

    Raises:
        ValueError: as `curve`.
    """
    found = curve(scores, labels)
    enough = np.argmax(found.hits >= hits_needed(tpr, int(found.hits[-1])))
    return float(found.fpr[enough])


def hits_needed(tpr: float, num_anomalies: int) -> int:
    """Returns how many anomalies make up at least the share `tpr`, proof against rounding."""
    return math.ceil(tpr * num_anomalies - 1e-9)


def oracle(
    scores: Float[np.ndarray, "N"], labels: Int[np.ndarray, "N"]
) -> dict[str, float | dict[str, float]]:
    """Returns what the best threshold would give, picked with the test labels in hand.

    Only ever a bound on what a threshold can do with these scores, never a result.

    Returns:
        `threshold` (an image above it is flagged), `accuracy` and `f1` where Youden's J = TPR - FPR is
        largest, and under `best_f1` the `threshold` and `f1` where F1 is. Of equally good thresholds
        the highest.

    Raises:
        ValueError: as `curve`.
    """
    found = curve(scores, labels)
    youden = int(np.argmax(found.recall - found.fpr))
    correct = found.hits[youden] + found.false_alarms[-1] - found.false_alarms[youden]
    best = int(np.argmax(found.f1))
    return {
        "threshold": float(found.threshold[youden]),
        "accuracy": float(correct / len(scores)),
        "f1": float(found.f1[youden]),
        "best_f1": {"threshold": float(found.threshold[best]), "f1": float(found.f1[best])},
    }


def at_decision(
    flagged: Bool[np.ndarray, "N"], labels: Int[np.ndarray, "N"], classes: Sequence[str]
) -> dict[str, float | dict[str, float]]:
    """Returns how good a decision was.

    Args:
        flagged: which images were called anomalous.
        labels: 0 normal, 1 anomaly.
        classes: name of each image's class.

    Returns:
        `accuracy` of all images; `fpr`, the share of normals that are flagged; `recall`, the share of
        anomalies that are; `precision`, the share of anomalies among the flagged, 0 where nothing is
        flagged; `f1` of the last two; `per_class`, the recall of an anomalous class and the
        specificity of a normal one. Without normals there is no `fpr`; without anomalies there is no
        `recall`, `precision` or `f1`; without images there is no `accuracy`.
    """
    anomalous = labels == 1
    correct = flagged == anomalous
    names = np.asarray(classes)
    found: dict[str, float | dict[str, float]] = {}
    if len(flagged):
        found["accuracy"] = float(correct.mean())
    if anomalous.any():
        hits = int(np.sum(flagged & anomalous))
        found["precision"] = hits / max(int(flagged.sum()), 1)
        found["recall"] = float(flagged[anomalous].mean())
        found["f1"] = 2 * hits / int(flagged.sum() + anomalous.sum())
    if not anomalous.all():
        found["fpr"] = float(flagged[~anomalous].mean())
    found["per_class"] = {
        str(name): float(correct[names == name].mean()) for name in np.unique(names)
    }
    return found
