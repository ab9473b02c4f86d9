"""The mode `predict`: it scores new images with the detector of a run and writes a row for each."""

import collections
import dataclasses
import itertools
import json
import pathlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import vae_jax
from vae_jax.detector.depth import has_other_depth
from vae_jax.detector.detector import Detector
from vae_jax.detector.drift import DriftTest
from vae_jax.detector.overlays import draw_overlay, locate_picture, write_map, write_overlay
from vae_jax.detector.prediction_table import PredictionTable, escape_text
from vae_jax.detector.sources import Source, list_inputs
from vae_jax.detector.stream import ScoredImage
from vae_jax.errors import UserError
from vae_jax.prediction_request import PredictionRequest
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.workdir import mark_output, write_text

_SETTINGS = "settings.json"  # what the rows of a folder depend on
_SUMMARY = "summary.json"


@dataclasses.dataclass(frozen=True)
class _ReusedSource(Source):
    """An image that was scored before the prediction was stopped.

    Attributes:
        rows: its rows of the table.
    """

    rows: Sequence[Mapping[str, str]] = ()


class _Tally:
    """Counts rows while they are written."""

    def __init__(self, num_calibration: int):
        self.images = self.unreadable = self.reused = self.rows = self.anomalous = 0
        self.other_depth = 0  # of the images that were scored now
        self.drift = DriftTest(num_calibration)

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Counts the rows of one image."""
        self.images += 1
        scored = [row for row in rows if row["status"] == "ok"]
        self.unreadable += not scored
        self.rows += len(scored)
        self.anomalous += sum(int(row["anomalous"]) for row in scored)
        self.drift.add(np.array([float(row["p_value"]) for row in scored]))


def run(request: PredictionRequest) -> None:
    """Scores the images, and prints how many of them are anomalous.

    Raises:
        UserError: if the run has no detector, there is no such input, or the output folder holds other
            predictions.
    """
    detector = Detector.load(request.workdir, **request.decision)
    passed_over: collections.Counter[str] = collections.Counter()
    inputs = list_inputs(request.inputs, detector.parts.preprocessing.max_pixels, passed_over)
    # An input that does not exist is reported before anything is written.
    inputs = itertools.chain([next(inputs)], inputs)
    _claim_output(request, detector)
    start = time.perf_counter()
    intensity = detector.parts.preprocessing.framing.intensity
    tally = _Tally(len(detector.parts.calibration[detector.deciding_score]))
    with (
        PredictionTable(
            request.output,
            detector.names,
            has_tiles=detector.parts.preprocessing.framing.cuts_strips,
        ) as table,
        open_progress_bar(None, "predicting", "image") as bar,
    ):
        sources = _find_rows(inputs, table)
        for image in detector.score_sources(sources, with_maps=request.overlays or request.maps):
            if isinstance(image.source, _ReusedSource):
                rows = image.source.rows
                tally.reused += 1
            else:
                rows = _make_rows(image, detector)
                _draw(image, rows, detector, request)
            table.write(rows)
            tally.add(rows)
            if image.crops is not None:
                tally.other_depth += has_other_depth(image.crops.stored_levels, intensity)
            bar.update(1)
        table.finish()
    if detector.parts.config.scoring.false_discovery:
        tally.anomalous = table.decide_together(detector.parts.config.scoring.false_alarm_rate)
    summary = _summarise(detector, tally, passed_over, time.perf_counter() - start)
    write_text(request.output / _SUMMARY, json.dumps(summary, indent=2) + "\n")
    _print_summary(summary, table.path)


def _claim_output(request: PredictionRequest, detector: Detector) -> None:
    """Makes the output folder, or checks that it holds a prediction with the same settings."""
    settings = {
        "detector": detector.parts.digest,
        "decision": detector.parts.config.scoring.to_dict(),
        "overlays": request.overlays,
        "maps": request.maps,
    }
    text = json.dumps(settings, indent=2, sort_keys=True, default=list) + "\n"
    path = request.output / _SETTINGS
    mark_output(request.output)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise UserError(
            f"--output={request.output} holds predictions of another detector, or with another decision or "
            "other pictures; name another --output, or delete that folder"
        )
    write_text(path, text)


def _find_rows(sources: Iterable[Source], table: PredictionTable) -> Iterator[Source]:
    """Yields the sources; those whose rows are known carry them."""
    for source in sources:
        rows = table.find(source.name, source.stamp)
        yield _ReusedSource(source.name, None, source.path, rows=rows) if rows else source


def _make_rows(image: ScoredImage, detector: Detector) -> list[dict[str, object]]:
    """Returns one row of predictions.csv, or one for each tile."""
    size, modified = image.source.stamp
    stamp = {"stored_bytes": size, "modified_ns": modified}
    if image.error:
        name, message = escape_text(image.source.name), escape_text(image.error)
        return [{"file": name, "status": "error", "message": message} | stamp]
    decision = detector.decide(image.columns)
    return [
        {"file": escape_text(name), "status": "ok", "message": ""}
        | {score: float(values[i]) for score, values in image.columns.items()}
        | {"p_value": float(decision.p_values[i]), "anomalous": int(decision.anomalous[i])}
        | stamp
        for i, name in enumerate(image.names)
    ]


def _draw(
    image: ScoredImage,
    rows: Sequence[Mapping[str, object]],
    detector: Detector,
    request: PredictionRequest,
) -> None:
    """Writes the pictures of an image that the command asks for."""
    if image.maps is None:
        return
    score = detector.deciding_score
    for name, pixels, values, row in zip(
        image.names, image.pictures, image.maps, rows, strict=True
    ):
        if request.maps:
            write_map(locate_picture(request.output / "maps", name, ".npy"), values)
        if request.overlays:
            picture = draw_overlay(
                pixels,
                values,
                detector.parts.map.limit,
                detector.contour,
                f"{score} {row[score]:.4g}  p {row['p_value']:.3f}",
                is_anomalous=bool(row["anomalous"]),
            )
            write_overlay(locate_picture(request.output / "overlays", name, ".png"), picture)


def _summarise(
    detector: Detector, tally: _Tally, passed_over: Mapping[str, int], seconds: float
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


def _print_summary(summary: Mapping[str, Any], path: pathlib.Path) -> None:
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
