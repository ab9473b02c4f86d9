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
from vae_jax.detector.prediction_table import PredictionTable
from vae_jax.detector.sources import Source, list_inputs
from vae_jax.detector.stream import ScoredImage
from vae_jax.errors import UserError
from vae_jax.prediction_request import PredictionRequest
from vae_jax.runtime.printable import escape_cell
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.decision import Decision
from vae_jax.workdir import mark_output, write_text

_SETTINGS = "settings.json"  # what the rows of a folder depend on
_SUMMARY = "summary.json"
# Images that are decided about and written together, which takes less time than one by one. A process that
# is killed loses the scores of so many images at most.
_GROUP = 16


@dataclasses.dataclass(frozen=True)
class _ReusedSource(Source):
    """An image that was scored before the prediction was stopped.

    Attributes:
        rows: its rows of the table.
    """

    rows: Sequence[Mapping[str, str]] = ()


_Rows = Sequence[Mapping[str, object]]  # the rows of one image


class _Tally:
    """Counts rows while they are written."""

    def __init__(self, num_calibration: int):
        self.images = self.unreadable = self.reused = self.rows = self.anomalous = 0
        self.other_depth = 0  # of the images that were scored now
        self.drift = DriftTest(num_calibration)

    def add(self, rows_of_images: Sequence[_Rows]) -> None:
        """Counts the rows of some images."""
        self.images += len(rows_of_images)
        scored = [row for rows in rows_of_images for row in rows if row["status"] == "ok"]
        self.unreadable += sum(rows[0]["status"] != "ok" for rows in rows_of_images)
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
        scored = detector.score_sources(sources, with_maps=request.overlays or request.maps)
        for images in _group(scored):
            rows_of_images = _make_rows(images, detector)
            for image, rows in zip(images, rows_of_images, strict=True):
                _draw(image, rows, detector, request)
                if image.crops is not None:
                    tally.other_depth += has_other_depth(image.crops.stored_levels, intensity)
            table.write([row for rows in rows_of_images for row in rows])
            tally.add(rows_of_images)
            tally.reused += sum(isinstance(image.source, _ReusedSource) for image in images)
            bar.update(len(images))
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


def _group(images: Iterable[ScoredImage]) -> Iterator[list[ScoredImage]]:
    """Yields the images in short lists."""
    iterator = iter(images)
    while group := list(itertools.islice(iterator, _GROUP)):
        yield group


def _make_rows(images: Sequence[ScoredImage], detector: Detector) -> list[_Rows]:
    """Returns the rows of predictions.csv for each image; the rows that are known already are reused."""
    new = [image for image in images if image.columns]
    decision = detector.decide(
        {
            name: np.concatenate([np.empty(0), *(image.columns[name] for image in new)])
            for name in detector.names
        }
    )
    first, rows_of_images = 0, []
    for image in images:
        if isinstance(image.source, _ReusedSource):
            rows_of_images.append(image.source.rows)
            continue
        rows_of_images.append(_make_image_rows(image, decision, first))
        first += len(image.columns[detector.deciding_score]) if image.columns else 0
    return rows_of_images


def _make_image_rows(image: ScoredImage, decision: Decision, first: int) -> list[dict[str, object]]:
    """Returns one row, or one for each tile.

    Args:
        image: the image.
        decision: the decision about several images.
        first: position of the image, or of its first tile, in the decision.
    """
    size, modified = image.source.stamp
    stamp = {"stored_bytes": size, "modified_ns": modified}
    if image.error:
        name, message = escape_cell(image.source.name), escape_cell(image.error)
        return [{"file": name, "status": "error", "message": message} | stamp]
    return [
        {"file": escape_cell(name), "status": "ok", "message": ""}
        | {score: float(values[i]) for score, values in image.columns.items()}
        | {
            "p_value": float(decision.p_values[first + i]),
            "anomalous": int(decision.anomalous[first + i]),
        }
        | stamp
        for i, name in enumerate(image.names)
    ]


def _draw(
    image: ScoredImage,
    rows: _Rows,
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
