"""The mode `evaluate` with `--input`: a run judges labelled new images, and nothing is fitted again.

The detector of the run scores the images and decides about them. The results lie in a folder of their own,
`evaluations/NAME` in the workdir, so that the report of the run stays as it is.

N images, or tiles of images.
"""

import dataclasses
import json
from typing import Any

import numpy as np

from vae_jax import results as results_lib
from vae_jax import workdir as workdir_lib
from vae_jax.data.dataset_section import describe_dataset
from vae_jax.data.decoded_cache import discard_cache
from vae_jax.data.examples import Examples
from vae_jax.data.labelled_images import LabelledImages, read_labelled_images
from vae_jax.data.whole_images import take_whole_images
from vae_jax.detector.detector import Detector, override_config
from vae_jax.detector.drift import DriftTest
from vae_jax.detector.image_scorer import ImageScorer
from vae_jax.detector.parts import DetectorParts
from vae_jax.detector.storage import read_detector
from vae_jax.errors import UserError
from vae_jax.evaluate import Evaluation, write_report
from vae_jax.evaluation_request import EvaluationRequest
from vae_jax.judgement import judge_columns, list_warnings
from vae_jax.model_sections import describe_test_images
from vae_jax.report.evaluation import case_selection
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.anomaly_maps import Mapper, measure_maps
from vae_jax.scoring.decision import Decision
from vae_jax.scoring.localisation_sections import list_localisation_sections
from vae_jax.scoring.pictures import Pictures
from vae_jax.scoring.role_scores import RowColumns, check_finite
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stitching import Strip
from vae_jax.scoring.strip_evaluation import describe_strips, measure_strips
from vae_jax.scoring.whole_images import join_columns
from vae_jax.scoring.whole_maps import measure_whole_maps

_SOURCE = "evaluation.json"  # which folder an evaluation is about
_DECODED = "images"  # decoded images, which are removed at the end
_MAP = "error"  # name of the map of a model that shows reconstructions


def run(request: EvaluationRequest) -> None:
    """Judges the images, writes the results, figures and report of this set, and prints a table.

    Raises:
        UserError: if the run has no detector, the folder cannot be used, or the evaluation of another
            folder has this name.
    """
    parts = override_config(read_detector(request.workdir), request.fields)
    with workdir_lib.explain_damaged_results(request.workdir):
        run_counts = workdir_lib.read_results(request.workdir)["dataset"]["counts"]
    refuse_other_input(request)
    decoded = request.output / _DECODED
    with workdir_lib.lock_workdir(request.output):
        try:
            images = read_labelled_images(
                request.folder, parts.preprocessing, parts.config.data, decoded
            )
            _claim_output(request)
            evaluation = evaluate_images(request, parts, images, run_counts)
        finally:
            discard_cache(decoded)
        config_text = parts.config.to_json(indent=2, sort_keys=True)
        workdir_lib.write_text(request.output / "config.json", config_text + "\n")
        write_report(request.output, evaluation)


def evaluate_images(
    request: EvaluationRequest,
    parts: DetectorParts,
    images: LabelledImages,
    run_counts: dict[str, int],
) -> Evaluation:
    """Scores images with a fitted detector, and measures how well it finds the anomalies among them.

    Args:
        request: what the command asks for.
        parts: the detector.
        images: the images with their labels.
        run_counts: number of images of each role of the run.
    """
    scorer = ImageScorer(parts, with_figures=True)
    dataset = dataclasses.replace(
        scorer.setup.dataset, test=images.test, fingerprint=images.fingerprint
    )
    setup = dataclasses.replace(scorer.setup, dataset=dataset)
    row_columns = _score(scorer, images.test)
    columns = scorer.combine(join_columns(row_columns, images.test))
    decision = Detector(parts).decide(columns)
    judgement = judge_columns(setup.images.test, columns, {}, decision)
    localisation, strips = _localise(setup, scorer.pictures, columns)
    results = (
        {"dataset": _describe_dataset(setup, parts, run_counts)}
        | judgement.sections
        | {"cost": results_lib.measure_cost(request.workdir, parts.params)}
        | describe_test_images(setup, row_columns)
        | localisation
    )
    results["evaluation"] = _describe_evaluation(request, parts, images, decision, results)
    shown = case_selection.select_images(
        setup, decision, scorer.pictures, parts.config.report, strips
    )
    return Evaluation(
        results,
        judgement.rows,
        dataclasses.replace(
            shown, samples=shown.samples[:0]
        ),  # they show the model, not these images
        list_warnings(results, decision),
        lambda: None,
    )


def refuse_other_input(request: EvaluationRequest) -> None:
    """Checks that the folder of the results holds no evaluation of another folder.

    Raises:
        UserError: if it does.
    """
    path = request.output / _SOURCE
    if not path.exists():
        return
    try:
        other = json.loads(path.read_text(encoding="utf-8"))["input"]
    except (ValueError, KeyError, TypeError):
        other = "unknown images"
    if other != str(request.folder.resolve()):
        raise UserError(
            f"{request.output} holds the evaluation of {other}; give this one another name with "
            "--name=NAME, or delete that folder"
        )


def _claim_output(request: EvaluationRequest) -> None:
    """Writes which images the folder of the results is about."""
    path, source = request.output / _SOURCE, str(request.folder.resolve())
    workdir_lib.write_text(path, json.dumps({"input": source}, indent=2) + "\n")


def _score(scorer: ImageScorer, test: Examples) -> RowColumns:
    """Returns single scores and figures of each row, as the detector computes them for new images."""
    parts = []
    with open_progress_bar(len(test), "scoring", "image") as bar:
        for start in range(0, len(test), scorer.step):
            images = np.asarray(test.images[start : start + scorer.step])
            parts.append(scorer.score(images)[0])
            bar.update(len(images))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    check_finite(
        {name: values for name, values in columns.items() if not name.startswith("quality_")},
        test,
        "new images",
    )
    return columns


def _localise(
    setup: ScoringSetup, pictures: Pictures, columns: dict[str, np.ndarray]
) -> tuple[dict[str, dict], list[Strip]]:
    """Compares the anomaly map of the detector with the masks.

    Returns:
        The sections `localisation` and `localisation_curves`, if there are masks, and `strips`, if the
        rows are tiles of strips; and strips for the report.
    """
    name = pictures.map_name or _MAP
    mappers = [_make_scaled_mapper(pictures, name)]
    test = setup.dataset.test
    if test.offsets is not None:
        strips = measure_strips(setup, mappers, [name])
        return describe_strips(setup, strips, columns), strips.shown
    measure = measure_maps if test.boxes is None else measure_whole_maps
    return list_localisation_sections(measure(setup, mappers)), []


def _make_scaled_mapper(pictures: Pictures, name: str) -> Mapper:
    def compute_maps(examples: Examples):
        _, maps = pictures.compute(examples)
        return {name: pictures.scale.apply({"map": maps})["map"]}

    return compute_maps


def _describe_dataset(
    setup: ScoringSetup, parts: DetectorParts, run_counts: dict[str, int]
) -> dict[str, Any]:
    """Returns the section `dataset`: the new images as test images, beside the other roles of the run."""
    section = describe_dataset(setup.dataset)
    calibration = len(next(iter(parts.calibration.values())))
    section["counts"] |= {"train": run_counts["train"], "val": run_counts["val"]}
    section["counts"]["calibration"] = calibration
    if "tiles" in section:
        section["tiles"] = {"test": section["tiles"]["test"]}
    return section


def _describe_evaluation(
    request: EvaluationRequest,
    parts: DetectorParts,
    images: LabelledImages,
    decision: Decision,
    results: dict[str, Any],
) -> dict[str, Any]:
    """Returns the section `evaluation`: where images and detector come from, and what was not measured."""
    normal = take_whole_images(images.test).labels == 0
    drift = DriftTest(len(parts.calibration[decision.score]))
    drift.add(decision.p_values[normal])
    return {
        "name": request.name,
        "input": str(request.folder),
        "workdir": str(request.workdir),
        "fields": {
            field: list(value) if isinstance(value, tuple) else value
            for field, value in request.fields.items()
        },
        "detector": {
            "version": parts.version,
            "fingerprint": parts.fingerprint,
            "digest": parts.digest,
        },
        "unreadable": images.unreadable,
        "left_out": images.left_out,
        "localisation": "localisation" in results,
        **({"drift": {"p_value": drift.p_value}} if normal.any() else {}),
    }
