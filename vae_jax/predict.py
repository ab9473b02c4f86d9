"""The mode `predict`: it scores new images with the detector of a run and writes a row for each.

Several processes share the images. Each writes a table of its own, and the first process joins the tables
as a stopped prediction is continued: all rows are known, and are written in the order of the input. So the
joined table is that of one process, and a stopped prediction may be continued by any number of processes.
"""

import collections
import dataclasses
import itertools
import json
import os
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from vae_jax.detector.depth import has_other_depth
from vae_jax.detector.detector import Detector
from vae_jax.detector.overlays import draw_overlay, locate_picture, write_map, write_overlay
from vae_jax.detector.prediction_table import PredictionTable, set_tables_aside
from vae_jax.detector.sources import Source, list_inputs
from vae_jax.detector.stream import ScoredImage
from vae_jax.errors import UserError
from vae_jax.prediction_request import PredictionRequest
from vae_jax.prediction_summary import Rows, Tally, print_summary, summarise
from vae_jax.runtime.partners import Partners
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


def run(request: PredictionRequest, partners: Partners | None = None) -> None:
    """Scores the images, and prints how many of them are anomalous.

    Args:
        request: what to predict.
        partners: the processes that share the images; None for this process alone.

    Raises:
        UserError: if the run has no detector, there is no such input, the output folder holds other
            predictions, or the processes have different flags.
    """
    detector = Detector.load(request.workdir, **request.decision)
    start = time.perf_counter()
    settings = _describe_settings(request, detector)
    inputs, passed_over = _list_inputs(request, detector)
    if partners is None or partners.is_first:
        _claim_output(request, settings)
    shares = []
    if partners is not None:
        if partners.is_first:
            set_tables_aside(request.output)
        _check_same(settings, request, partners)
        own = _select_own(inputs, partners)
        share = predict_images(own, request, detector, partners)[0]
        shares = partners.exchange([share.reused, share.other_depth])
        if not partners.is_first:
            return
        inputs, passed_over = _list_inputs(request, detector)
    tally, table = predict_images(inputs, request, detector)
    if shares:
        tally.reused = sum(reused for reused, _ in shares)
        tally.other_depth += sum(other_depth for _, other_depth in shares)
    table.finish()
    if detector.parts.config.scoring.false_discovery:
        tally.anomalous = table.decide_together(detector.parts.config.scoring.false_alarm_rate)
    summary = summarise(detector, tally, passed_over, time.perf_counter() - start)
    write_text(request.output / _SUMMARY, json.dumps(summary, indent=2) + "\n")
    print_summary(summary, table.path)


def _list_inputs(
    request: PredictionRequest, detector: Detector
) -> tuple[Iterator[Source], collections.Counter[str]]:
    """Returns the images, and the counts of what is passed over, which are whole after the last image."""
    passed_over: collections.Counter[str] = collections.Counter()
    inputs = list_inputs(request.inputs, detector.parts.preprocessing.max_pixels, passed_over)
    # An input that does not exist is reported before anything is written.
    return itertools.chain([next(inputs)], inputs), passed_over


def predict_images(
    inputs: Iterable[Source],
    request: PredictionRequest,
    detector: Detector,
    partners: Partners | None = None,
) -> tuple[Tally, PredictionTable]:
    """Scores images and writes their rows.

    Args:
        inputs: all images, or those of this process.
        request: what to predict.
        detector: scores the images.
        partners: the processes that score the others; None if the images are all.

    Returns:
        What was counted, and the table, which is closed.

    Raises:
        UserError: if another process is lost.
    """
    framing = detector.parts.preprocessing.framing
    tally = Tally(len(detector.parts.calibration[detector.deciding_score]))
    part = None if partners is None else partners.cluster.process_id
    with (
        PredictionTable(
            request.output, detector.names, has_tiles=framing.cuts_strips, part=part
        ) as table,
        open_progress_bar(None, "predicting", "image") as bar,
    ):
        sources = _find_rows(inputs, table)
        scored = detector.score_sources(sources, with_maps=request.overlays or request.maps)
        for images in _group(scored):
            if partners is not None:
                partners.check()
            rows_of_images = _make_rows(images, detector)
            for image, rows in zip(images, rows_of_images, strict=True):
                _draw(image, rows, detector, request)
                if image.crops is not None:
                    levels = image.crops.stored_levels
                    tally.other_depth += has_other_depth(levels, framing.intensity)
            table.write([row for rows in rows_of_images for row in rows])
            tally.add(rows_of_images)
            tally.reused += sum(isinstance(image.source, _ReusedSource) for image in images)
            bar.update(len(images))
    return tally, table


def _describe_settings(request: PredictionRequest, detector: Detector) -> str:
    """Returns what the rows and pictures depend on, beside the images, as JSON."""
    settings = {
        "detector": detector.parts.digest,
        "decision": detector.parts.config.scoring.to_dict(),
        "overlays": request.overlays,
        "maps": request.maps,
    }
    return json.dumps(settings, indent=2, sort_keys=True, default=list) + "\n"


def _claim_output(request: PredictionRequest, settings: str) -> None:
    """Makes the output folder, or checks that it holds a prediction with the same settings."""
    path = request.output / _SETTINGS
    mark_output(request.output)
    if path.exists() and path.read_text(encoding="utf-8") != settings:
        raise UserError(
            f"--output={request.output} holds predictions of another detector, or with another decision or "
            "other pictures; name another --output, or delete that folder"
        )
    write_text(path, settings)


def _check_same(settings: str, request: PredictionRequest, partners: Partners) -> None:
    """Waits for the others, and checks that they predict the same into the same folder."""
    first, *others = partners.exchange([settings, list(request.inputs)])
    if any(other != first for other in others):
        raise UserError(
            "the processes have different detectors or flags; start all of them with the same command"
        )
    if not (request.output / _SETTINGS).is_file():
        raise UserError(
            f"--output={request.output} is not the folder of process 0; name a folder on a file system "
            "that all machines share"
        )


def _select_own(sources: Iterable[Source], partners: Partners) -> Iterator[Source]:
    """Yields the images that this process scores; the frames of a file belong to one process."""
    cluster = partners.cluster
    for source in sources:
        if zlib.crc32(os.fsencode(source.path)) % cluster.num_processes == cluster.process_id:
            yield source


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


def _make_rows(images: Sequence[ScoredImage], detector: Detector) -> list[Rows]:
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
    rows: Rows,
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
