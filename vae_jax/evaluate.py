"""The only evaluator: best checkpoint and test images in, results, scores and report out."""

import csv
import dataclasses
import io
import pathlib

import ml_collections
import numpy as np

from vae_jax import results
from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import take_images
from vae_jax.model.vae import build_model
from vae_jax.report.evaluation import case_selection, caveats, page, terminal_table
from vae_jax.report.evaluation.cases import ReportImages
from vae_jax.runtime import processes
from vae_jax.scoring import baselines
from vae_jax.scoring.calibration import THRESHOLD_RULES, benjamini_hochberg, p_values
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.localise import localise
from vae_jax.scoring.robustness import noise_sweep
from vae_jax.scoring.role_scores import score_calibration_and_test, select_supported_scores
from vae_jax.scoring.scores import deciding_score
from vae_jax.scoring.strip_evaluation import rank_tiles, strips
from vae_jax.training.checkpoint import load_best_params

# Baselines whose scores the report draws as curves, and scores.csv therefore holds.
_CURVES = ("pca",)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What one evaluation found.

    Attributes:
        results: the content of results.json and details.json.
        rows: the content of scores.csv, a dict a test image.
        gallery: the images of the report.
        warnings: one sentence each, for the top of the report.
    """

    results: dict
    rows: list[dict]
    gallery: ReportImages
    warnings: list[str]


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """The mode `evaluate`: scores and reports again, from the best checkpoint."""
    evaluate_and_report(config, workdir, pipeline.load_dataset(config.data, config.seed))


def evaluate_and_report(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> None:
    """Evaluates and reports; of several processes each scores a share, and the first does the rest."""
    evaluation = evaluate(config, workdir, dataset)
    if evaluation:
        report(config, workdir, evaluation)


def evaluate(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> Evaluation | None:
    """Scores the test images with the best checkpoint, by thresholds from calibration normals alone.

    Returns:
        What it found; None in a process that does not lead, and has only scored its share.

    Raises:
        UserError: if the workdir holds no checkpoint, or a score is not a number.
    """
    processes.check_same(workdir_lib.run_fields(config), dataset.fingerprint)
    model = build_model(config, dataset.region)
    params = load_best_params(workdir, dataset.fingerprint)
    scoring_config, seed, test = config.scoring, config.seed, dataset.test
    names = select_supported_scores(model, scoring_config.names, "scoring.names")
    decision = deciding_score(scoring_config.decision, names)
    calibration_columns, columns = score_calibration_and_test(config, model, params, dataset, names)
    if not processes.is_first():
        return None
    rule = THRESHOLD_RULES[scoring_config.threshold_rule]
    thresholds = {name: rule(calibration_columns[name], scoring_config) for name in names}
    decided = p_values(calibration_columns[decision], columns[decision])
    flagged = thresholds[decision].flags(columns[decision])
    if scoring_config.false_discovery:
        flagged = benjamini_hochberg(decided, scoring_config.false_alarm_rate)

    rivals = {}
    if results.has_both_labels(test):
        rivals = baselines.scores(dataset.train, test, scoring_config.pca_components, seed)
    ranked = {name: columns[name] for name in names} | rivals
    rankings = results.rankings(test, ranked, scoring_config.bootstrap_resamples, seed)
    trained = TrainedModel(model, params, min(scoring_config.batch_size, 64))
    found = {
        "dataset": results.describe(dataset),
        "reconstruction": results.reconstruction(columns, test.labels, scoring_config.noise_std),
        "detection": {
            name: results.detection(test, columns[name], thresholds[name], rankings.get(name))
            for name in names
        },
        "decision": {
            "score": decision,
            **_decision_rule(scoring_config, len(dataset.calibration.images)),
            **results.judged(test, flagged),
        },
        "baselines": {name: rankings[name].intervals() for name in rivals},
        "differences": results.differences(test, ranked, rankings, decision),
        "cost": results.cost(workdir, params),
    }
    normal_images = take_images(test.images, test.labels == 0)
    if len(normal_images):
        found["robustness"] = noise_sweep(
            model, params, normal_images, min(scoring_config.batch_size, 64), seed
        )
    if model.sampled:
        found["likelihood"] = results.likelihood(
            columns, test.labels, scoring_config.importance_samples
        )
        found["latent"] = results.latent(
            TrainedModel(model, params, scoring_config.batch_size).encode(
                dataset.calibration.images
            )
        )
    normals = dataset.train, dataset.calibration
    whole, shown = strips(model, params, names, *normals, test, scoring_config, seed)
    if whole:
        scored = {name: columns[name] for name in names}
        found["strips"] = whole | {"scores": rank_tiles(scored, test, scoring_config, seed)}
        maps = whole["maps"].items()
        localisation = {name: entry["pixel"] for name, entry in maps if entry["pixel"]}
    else:
        localisation = localise(model, params, names, *normals, test, scoring_config, seed)
    if localisation:
        found["localisation"] = localisation
    rows = _rows(
        test,
        {name: columns[name] for name in names}
        | {name: rivals[name] for name in _CURVES if name in rivals},
        decided,
        flagged,
    )
    gallery = case_selection.select(
        test, columns[decision], decided, dataset.calibration, trained,
        trained.sample_prior(config.report.samples, seed), scoring_config, config.report.cases, seed,
    )  # fmt: skip
    gallery = dataclasses.replace(gallery, strips=shown)
    warnings = [threshold.warning for threshold in thresholds.values() if threshold.warning]
    warnings += caveats.list_caveats(found, decision, found["decision"].get("promised"))
    return Evaluation(found, rows, gallery, list(dict.fromkeys(warnings)))


def _decision_rule(
    scoring_config: ml_collections.ConfigDict, num_calibration: int
) -> dict[str, str | float]:
    """How it is decided, and which false-alarm rate that promises, where it promises one.

    Few calibration normals cannot promise less than one in their number and one.
    """
    rate = scoring_config.false_alarm_rate
    if scoring_config.false_discovery:
        return {
            "rule": f"all images together, by Benjamini-Hochberg at a false discovery rate of {rate:g}"
        }
    rule = {"rule": f"each image by its threshold, {scoring_config.threshold_rule}"}
    if scoring_config.threshold_rule != "quantile":
        return rule
    return rule | {"promised": max(rate, 1 / (num_calibration + 1))}


def _rows(
    test: Examples,
    columns: dict[str, np.ndarray],
    decided: np.ndarray,
    anomalous: np.ndarray,
) -> list[dict]:
    """The rows of scores.csv."""
    return [
        {
            "file": file,
            "class": test.classes[i],
            "label": int(test.labels[i]),
            **{name: float(values[i]) for name, values in columns.items()},
            "p_value": float(decided[i]),
            "anomalous": int(anomalous[i]),
        }
        for i, file in enumerate(test.names)
    ]


def report(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, evaluation: Evaluation
) -> None:
    """Writes results.json, details.json, scores.csv, figures and report.html, and prints the table."""
    workdir_lib.write_results(workdir, evaluation.results)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(evaluation.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(evaluation.rows)
    workdir_lib.write_text(workdir / "scores.csv", text.getvalue())
    path = page.write_page(workdir, evaluation.gallery, evaluation.warnings)
    print(terminal_table.format_terminal_table(evaluation.results))
    for warning in evaluation.warnings:
        print(f"caveat: {warning}")
    print(f"\nreport: {path}")
