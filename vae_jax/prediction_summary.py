"""What a prediction says about all images: counts, the decision, drift, speed.

N rows of some images.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import vae_jax
from vae_jax.detector.detector import Detector
from vae_jax.detector.drift import DriftTest

Rows = Sequence[Mapping[str, object]]  # the rows of one image


@dataclasses.dataclass
class Tally:
    """Counts rows while they are written.

    Attributes:
        num_calibration: number of calibration normals of the detector.
        images: number of images.
        unreadable: those that have no scores.
        reused: those whose rows were known from a prediction that was stopped.
        rows: number of rows with scores.
        anomalous: those that are called anomalous.
        other_depth: images that were scored now, with another number of bits than those of the run.
    """

    num_calibration: int
    images: int = 0
    unreadable: int = 0
    reused: int = 0
    rows: int = 0
    anomalous: int = 0
    other_depth: int = 0

    def __post_init__(self):
        self.drift = DriftTest(self.num_calibration)

    def add(self, rows_of_images: Sequence[Rows]) -> None:
        """Counts the rows of some images."""
        self.images += len(rows_of_images)
        scored = [row for rows in rows_of_images for row in rows if row["status"] == "ok"]
        self.unreadable += sum(rows[0]["status"] != "ok" for rows in rows_of_images)
        self.rows += len(scored)
        self.anomalous += sum(int(row["anomalous"]) for row in scored)
        self.drift.add(np.array([float(row["p_value"]) for row in scored]))


def summarise(
    detector: Detector, tally: Tally, passed_over: Mapping[str, int], seconds: float
) -> dict[str, object]:
    """Returns the content of summary.json."""
    parts = detector.parts
    summary = {
        "images": tally.images,
        "unreadable": tally.unreadable,
        "reused": tally.reused,
        "other_depth": tally.other_depth,
        "passed_over": dict(sorted(passed_over.items())),
        "rows": tally.rows,
        "anomalous": tally.anomalous,
        "share_anomalous": tally.anomalous / tally.rows if tally.rows else None,
        "decision": {
            "score": detector.deciding_score,
            "rule": detector.rule,
            "threshold": detector.threshold.upper,
            "promised_rate": detector.promised_rate,
        },
        "drift": {
            "p_value": tally.drift.p_value,
            "warning": tally.drift.describe(tally.anomalous, detector.promised_rate),
        },
        "seconds": seconds,
        "images_per_second": (tally.images - tally.reused) / seconds,
        "detector": {
            "version": parts.version,
            "fingerprint": parts.fingerprint,
            "digest": parts.digest,
            "run": parts.config.name,
        },
        "version": vae_jax.__version__,
    }
    if detector.threshold.lower is not None:
        summary["decision"]["threshold_low"] = detector.threshold.lower
    return summary


def print_summary(summary: Mapping[str, Any], path: pathlib.Path) -> None:
    """Prints a summary and where the predictions are."""
    decision = summary["decision"]
    rate = decision["promised_rate"]
    promise = "" if rate is None else f", {rate:.3g} of normal images promised"
    print(
        f"{summary['anomalous']} of {summary['rows']} anomalous by {decision['score']} > "
        f"{decision['threshold']:.4g}{promise}; {summary['unreadable']} unreadable; "
        f"{summary['images_per_second']:.3g} images/s"
    )
    if summary["passed_over"]:
        counts = ", ".join(f"{reason}: {n}" for reason, n in summary["passed_over"].items())
        print(f"passed over in folders: {counts}")
    if summary["other_depth"]:
        print(
            f"caveat: {summary['other_depth']} images have another number of bits than the grey levels "
            "of the run were made for (data.intensity), so they are nearly black or white"
        )
    if summary["drift"]["warning"]:
        print(f"caveat: {summary['drift']['warning']}")
    print(f"\npredictions: {path}")
