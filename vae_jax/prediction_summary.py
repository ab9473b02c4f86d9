"""What a prediction says about all images: counts, the decision, drift, speed.

N rows of some images.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import vae_jax
from vae_jax.data.builders.mask_names import split_at_mask_folder
from vae_jax.detector.detector import Detector
from vae_jax.detector.drift import DriftTest
from vae_jax.programs.description import describe_decision

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
        in_mask_folders: images in a folder where training finds masks, for example `ground_truth`.
    """

    num_calibration: int
    images: int = 0
    unreadable: int = 0
    reused: int = 0
    rows: int = 0
    anomalous: int = 0
    other_depth: int = 0
    in_mask_folders: int = 0

    def __post_init__(self):
        self.drift = DriftTest(self.num_calibration)

    def add(self, rows_of_images: Sequence[Rows]) -> None:
        """Counts the rows of some images."""
        self.images += len(rows_of_images)
        scored = [row for rows in rows_of_images for row in rows if row["status"] == "ok"]
        self.unreadable += sum(rows[0]["status"] != "ok" for rows in rows_of_images)
        names = [str(rows[0]["file"]) for rows in rows_of_images]
        self.in_mask_folders += sum(split_at_mask_folder(name) is not None for name in names)
        self.rows += len(scored)
        self.anomalous += sum(int(row["anomalous"]) for row in scored)
        self.drift.add(np.array([float(row["p_value"]) for row in scored]))


def summarise(
    detector: Detector, tally: Tally, passed_over: Mapping[str, int], seconds: float
) -> dict[str, object]:
    """Returns the content of summary.json."""
    parts = detector.parts
    has_tiles = parts.preprocessing.framing.cuts_strips
    return {
        "images": tally.images,
        "unreadable": tally.unreadable,
        "reused": tally.reused,
        "other_depth": tally.other_depth,
        "in_mask_folders": tally.in_mask_folders,
        "passed_over": dict(sorted(passed_over.items())),
        "rows": tally.rows,
        "anomalous": tally.anomalous,
        "share_anomalous": tally.anomalous / tally.rows if tally.rows else None,
        "decision": describe_decision(detector),
        "drift": {
            "p_value": tally.drift.p_value,
            "warning": tally.drift.describe(
                tally.anomalous, detector.promised_rate, "tiles" if has_tiles else "images"
            ),
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


def print_summary(summary: Mapping[str, Any], path: pathlib.Path) -> None:
    """Prints a summary and where the predictions are."""
    decision = summary["decision"]
    rate = decision["promised_rate"]
    promise = "" if rate is None else f", {rate:.3g} of normal images promised"
    # An image that cannot be read has no row that is counted, and a strip has one for each tile.
    tiles = " tiles" if summary["rows"] > summary["images"] else ""
    print(
        f"{summary['anomalous']} of {summary['rows']}{tiles} anomalous by {_format_rule(decision)}"
        f"{promise}; {summary['unreadable']} unreadable; {summary['images_per_second']:.3g} images/s"
    )
    if summary["passed_over"]:
        counts = ", ".join(f"{reason}: {n}" for reason, n in summary["passed_over"].items())
        print(f"passed over in folders: {counts}")
    if summary["other_depth"]:
        print(
            f"caveat: {summary['other_depth']} images have another number of bits than the grey levels "
            "of the run were made for (data.intensity), so they are nearly black or white"
        )
    if summary["in_mask_folders"]:
        print(
            f"caveat: {summary['in_mask_folders']} images are in folders named like those for masks "
            "(for example ground_truth), and were scored like the others; if they are masks, leave these "
            "folders out of --input"
        )
    if summary["drift"]["warning"]:
        print(f"caveat: {summary['drift']['warning']}")
    print(f"\npredictions: {path}")


def _format_rule(decision: Mapping[str, Any]) -> str:
    """Returns score and threshold, or the rule in words if images are decided about together."""
    if not decision["rule"].startswith("each image"):
        return f"{decision['score']}, {decision['rule']}"
    low = decision["threshold_low"]
    below = "" if low is None else f" or < {low:.4g}"
    return f"{decision['score']} > {decision['threshold']:.4g}{below}"
