"""The only evaluator: it scores the test images with the best checkpoint and writes the report."""

import csv
import dataclasses
import functools
import io
import pathlib
from collections.abc import Callable, Sequence

import ml_collections

from vae_jax import results as results_lib
from vae_jax import workdir as workdir_lib
from vae_jax.config_differences import run_fields
from vae_jax.data import pipeline
from vae_jax.data.dataset_section import describe_dataset
from vae_jax.data.examples import Dataset
from vae_jax.data.splits import ROLES
from vae_jax.detector.parts import DetectorParts, collect_parts
from vae_jax.detector.storage import write_detector
from vae_jax.judgement import judge_columns, list_warnings
from vae_jax.model.branched import build_branches
from vae_jax.model_sections import describe_model
from vae_jax.observation.observed import get_inputs, observe_dataset
from vae_jax.report.evaluation import case_selection, page, terminal_table
from vae_jax.report.evaluation.cases import ReportImages
from vae_jax.runtime import processes
from vae_jax.runtime.printable import escape_cell
from vae_jax.score_names import list_scores
from vae_jax.scoring.anomaly_maps import measure_localisation
from vae_jax.scoring.baselines import Baselines, score_baselines
from vae_jax.scoring.decision import decide
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.localisation_sections import list_localisation_sections
from vae_jax.scoring.pictures import make_pictures
from vae_jax.scoring.reconstruction_check import (
    choose_samples,
    measure_reconstruction_errors,
)
from vae_jax.scoring.role_scores import (
    RoleScores,
    score_calibration_and_test,
    select_supported_scores,
)
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stitching import Strip
from vae_jax.scoring.strip_evaluation import describe_strips, evaluate_strips
from vae_jax.scoring.whole_maps import measure_whole_images
from vae_jax.training.best_params import load_best_params, refuse_other_data

_MAX_BATCH_SIZE = 64  # images per step where a step is not compiled for scoring


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The outcome of an evaluation.

    Attributes:
        results: content of results.json and details.json, section by section.
        rows: content of scores.csv, one dict per test image.
        images: images of the report.
        warnings: sentences for the top of the report, one per reason to doubt the results.
        collect_detector: () -> what scores new images, with everything that it needs; None if the classes
            of the images are needed to score them.
    """

    results: dict
    rows: list[dict]
    images: ReportImages
    warnings: list[str]
    collect_detector: Callable[[], DetectorParts | None]


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the mode `evaluate`: scores and reports again, from the best checkpoint.

    Raises:
        UserError: if the images are not those of the run, or the workdir holds no checkpoint.
    """
    dataset = pipeline.load_dataset(config.data, config.seed)
    refuse_other_data(workdir, dataset.fingerprint)
    evaluate_and_report(config, workdir, observe_dataset(dataset, config))


def evaluate_and_report(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> None:
    """Evaluates, and writes the report and the detector in the first process."""
    evaluation = evaluate(config, workdir, dataset)
    if evaluation:
        parts = evaluation.collect_detector()
        if parts is not None:
            write_detector(workdir, parts)
        write_report(workdir, evaluation)


def evaluate(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> Evaluation | None:
    """Scores the test images with the best checkpoint and measures how well anomalies are detected.

    Thresholds come from calibration normals alone.

    Returns:
        The evaluation; None in every process but the first, which scores its part of the images only.

    Raises:
        UserError: if the workdir holds no checkpoint, or if a score is not a finite number.
    """
    processes.check_same(run_fields(config), dataset.fingerprint)
    setup = load_setup(config, workdir, dataset)
    scoring_config = config.scoring
    wanted = list_scores(scoring_config.names, scoring_config.decision)
    names = select_supported_scores(setup.trained.model, wanted, "scoring.names")
    role_scores = score_calibration_and_test(setup, names)
    if not processes.is_first():
        return None
    baselines = Baselines(dataset.train, scoring_config.pca_components, config.seed, dataset.region)
    is_judged = results_lib.has_both_labels(dataset.test)
    baseline_scores = score_baselines(baselines, dataset, names, all_on_test=is_judged)
    role_scores = role_scores.join(baseline_scores)
    decision = decide(names, role_scores, scoring_config)
    judgement = judge_columns(setup.images.test, role_scores.test, baseline_scores.test, decision)
    localisation = _localise(setup, names, role_scores, baselines)
    results = (
        {"dataset": describe_dataset(setup.dataset)}
        | judgement.sections
        | results_lib.describe_training(workdir)
        | {"cost": results_lib.measure_cost(workdir, setup.trained.params)}
        | describe_model(setup, role_scores.test_rows)
        | localisation.sections
    )
    shown = dataclasses.replace(setup, trained=setup.trained.with_max_batch_size(_MAX_BATCH_SIZE))
    pictures = make_pictures(shown, decision.score)
    return Evaluation(
        results,
        judgement.rows,
        case_selection.select_images(shown, decision, pictures, config.report, localisation.strips),
        list_warnings(results, decision),
        functools.partial(collect_parts, config, setup, names, role_scores, baselines, pictures),
    )


def write_report(workdir: pathlib.Path, evaluation: Evaluation) -> None:
    """Writes results.json, details.json, scores.csv, figures and report.html, and prints the table."""
    workdir_lib.write_results(workdir, evaluation.results)
    workdir_lib.write_text(workdir / "scores.csv", format_scores(evaluation.rows))
    path = page.write_page(workdir, evaluation.images, evaluation.warnings)
    print(terminal_table.format_terminal_table(evaluation.results))
    for warning in evaluation.warnings:
        print(f"caveat: {warning}")
    print(f"\nreport: {path}")


def format_scores(rows: Sequence[dict]) -> str:
    """Returns the content of scores.csv.

    Args:
        rows: one dict per test image; at least one.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {**row, "file": escape_cell(row["file"]), "class": escape_cell(row["class"])}
        )
    return text.getvalue()


@dataclasses.dataclass(frozen=True)
class _Localisation:
    """Measures of anomaly maps.

    Attributes:
        sections: `strips`, if the images are tiles; `localisation` and its curves, if there are masks.
        strips: whole strips for the report.
    """

    sections: dict[str, dict]
    strips: list[Strip]


def load_setup(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> ScoringSetup:
    """Reads the best checkpoint of a run, and returns it with what every step of a scoring needs.

    Raises:
        UserError: if the workdir holds no checkpoint.
    """
    model = build_branches(config, dataset.region)
    params = load_best_params(workdir, dataset.fingerprint)
    # Padding is computed as well, so a batch is not larger than the largest role.
    largest = max(len(getattr(dataset, role)) for role in ROLES)
    trained = TrainedModel(model, params, min(config.scoring.batch_size, largest))
    # Only the first process reads the training images for this; the others hold their share of them.
    errors = processes.compute_on_first(
        lambda: measure_reconstruction_errors(
            trained.with_max_batch_size(_MAX_BATCH_SIZE),
            get_inputs(dataset.train),
            get_inputs(dataset.val),
            config.seed,
        )
    )
    scoring_config = choose_samples(config.scoring, errors)
    return ScoringSetup(trained, dataset, scoring_config, config.seed, errors)


def _localise(
    setup: ScoringSetup, names: Sequence[str], role_scores: RoleScores, baselines: Baselines
) -> _Localisation:
    """Measures the anomaly maps against masks; of tiles, on the images that they were cut from."""
    if setup.dataset.test.boxes is not None:
        measures = measure_whole_images(setup, names, baselines, role_scores.fitted.fits)
        return _Localisation(list_localisation_sections(measures), [])
    strips = evaluate_strips(setup, names, baselines, role_scores.fitted.fits)
    if strips is None:
        measures = measure_localisation(setup, names, baselines, role_scores.fitted.fits)
        return _Localisation(list_localisation_sections(measures), [])
    columns = {name: role_scores.test[name] for name in names}
    return _Localisation(describe_strips(setup, strips, columns), strips.shown)
