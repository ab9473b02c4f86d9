"""The only evaluator: best checkpoint and test images in, results, scores and report out."""

import csv
import dataclasses
import functools
import io
import logging
import pathlib
import time
from collections.abc import Sequence

import jax
import ml_collections
import numpy as np

from vae_jax import results
from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.data.conditions import conditions
from vae_jax.data.pipeline import Dataset, Examples
from vae_jax.data.stored import take
from vae_jax.errors import UserError
from vae_jax.model.vae import VAE, build_model
from vae_jax.report import caveats, page, selection, table
from vae_jax.report.gallery import Gallery
from vae_jax.scoring import baselines, reference
from vae_jax.scoring.calibration import THRESHOLD_RULES, benjamini_hochberg, p_values
from vae_jax.scoring.codes import encode
from vae_jax.scoring.fusion import fuse
from vae_jax.scoring.localise import localise
from vae_jax.scoring.reconstruct import make_reconstruct, sample_prior
from vae_jax.scoring.robustness import noise_sweep
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.scores import BY_OPTIMISATION, NEEDS_POSTERIOR, SCORES, decisive
from vae_jax.scoring.strips import rank_tiles, strips
from vae_jax.training import processes
from vae_jax.training.checkpoint import best_params

log = logging.getLogger(__name__)

# Figures of the model that are read beside the scores, in the same pass.
_QUALITY = ("quality_mse", "quality_psnr", "quality_ssim", "noisy_mse", "reconstruction", "kl")
# They share one estimate, so where the first is selected the second is free.
_LIKELIHOOD = ("nll", "bits_per_dim")
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
    gallery: Gallery
    warnings: list[str]


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """The mode `evaluate`: scores and reports again, from the best checkpoint."""
    judge(config, workdir, pipeline.load(config.data, config.seed))


def judge(config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset) -> None:
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
    processes.check_same(workdir_lib.of_the_run(config), dataset.fingerprint)
    model = build_model(config)
    params = best_params(workdir, dataset.fingerprint)
    settings, seed, test = config.scoring, config.seed, dataset.test
    names = _names_for(model, settings.names, "scoring.names")
    decision = decisive(settings.decision, names)
    calibration_columns, columns = _score(config, model, params, dataset, names)
    if not processes.leads():
        return None
    rule = THRESHOLD_RULES[settings.threshold_rule]
    thresholds = {name: rule(calibration_columns[name], settings) for name in names}
    decided = p_values(calibration_columns[decision], columns[decision])
    flagged = thresholds[decision].flags(columns[decision])
    if settings.false_discovery:
        flagged = benjamini_hochberg(decided, settings.false_alarm_rate)

    rivals = {}
    if results.has_both_labels(test):
        rivals = baselines.scores(dataset.train, test, settings.pca_components, seed)
    ranked = {name: columns[name] for name in names} | rivals
    rankings = results.rankings(test, ranked, settings.bootstrap_resamples, seed)
    reconstruct = functools.partial(make_reconstruct(model, min(settings.batch_size, 64)), params)
    found = {
        "dataset": results.describe(dataset),
        "reconstruction": results.reconstruction(columns, test.labels, settings.noise_std),
        "detection": {
            name: results.detection(test, columns[name], thresholds[name], rankings.get(name))
            for name in names
        },
        "decision": {
            "score": decision,
            **_decision_rule(settings, len(dataset.calibration.images)),
            **results.judged(test, flagged),
        },
        "baselines": {name: rankings[name].intervals() for name in rivals},
        "differences": results.differences(test, ranked, rankings, decision),
        "cost": results.cost(workdir, params),
    }
    normal_images = take(test.images, test.labels == 0)
    if len(normal_images):
        found["robustness"] = noise_sweep(
            model, params, normal_images, min(settings.batch_size, 64), seed
        )
    if model.sampled:
        found["likelihood"] = results.likelihood(columns, test.labels, settings.importance_samples)
        found["latent"] = results.latent(
            encode(model, params, dataset.calibration.images, settings.batch_size)
        )
    normals = dataset.train, dataset.calibration
    whole, shown = strips(model, params, names, *normals, test, settings, seed)
    if whole:
        scored = {name: columns[name] for name in names}
        found["strips"] = whole | {"scores": rank_tiles(scored, test, settings, seed)}
        maps = whole["maps"].items()
        localisation = {name: entry["pixel"] for name, entry in maps if entry["pixel"]}
    else:
        localisation = localise(model, params, names, *normals, test, settings, seed)
    if localisation:
        found["localisation"] = localisation
    rows = _rows(
        test,
        {name: columns[name] for name in names}
        | {name: rivals[name] for name in _CURVES if name in rivals},
        decided,
        flagged,
    )
    gallery = selection.select(
        test, columns[decision], decided, dataset.calibration, reconstruct,
        sample_prior(model, params, config.report.samples, seed), settings, config.report.cases, seed,
    )  # fmt: skip
    gallery = dataclasses.replace(gallery, strips=shown)
    warnings = [threshold.warning for threshold in thresholds.values() if threshold.warning]
    warnings += caveats.caveats(found, decision, found["decision"].get("promised"))
    return Evaluation(found, rows, gallery, list(dict.fromkeys(warnings)))


def _decision_rule(
    settings: ml_collections.ConfigDict, num_calibration: int
) -> dict[str, str | float]:
    """How it is decided, and which false-alarm rate that promises, where it promises one.

    Few calibration normals cannot promise less than one in their number and one.
    """
    rate = settings.false_alarm_rate
    if settings.false_discovery:
        return {
            "rule": f"all images together, by Benjamini-Hochberg at a false discovery rate of {rate:g}"
        }
    rule = {"rule": f"each image by its threshold, {settings.threshold_rule}"}
    if settings.threshold_rule != "quantile":
        return rule
    return rule | {"promised": max(rate, 1 / (num_calibration + 1))}


def _names_for(model: VAE, names: Sequence[str], field: str) -> list[str]:
    """Leaves out what asks for a posterior's width where the model has none."""
    found = [name for name in names if model.sampled or name not in NEEDS_POSTERIOR]
    if not found:
        raise UserError(
            f"{field} names only scores that need a posterior ({', '.join(names)}), which an "
            "autoencoder has not; add one, as mse"
        )
    return found


def _score(
    config: ml_collections.ConfigDict,
    model: VAE,
    params: dict,
    dataset: Dataset,
    names: Sequence[str],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the columns of the calibration and of the test images."""
    settings = config.scoring
    members = []
    if "fusion" in names:
        members = _names_for(model, settings.fusion, "scoring.fusion")
    singles = [name for name in dict.fromkeys((*names, *members)) if name != "fusion"]
    fitted = reference.fit(
        singles, model, params, dataset.train.images, settings, config.seed,
        _given(config, dataset, dataset.train),
    )  # fmt: skip

    def scorer_of(columns: Sequence[str]):
        scorer = make_scorer(model, columns, settings, config.seed, jax.devices(), fitted)

        def score(role: str) -> dict[str, np.ndarray]:
            examples, started = getattr(dataset, role), time.perf_counter()
            given = _given(config, dataset, examples)
            found = scorer(params, examples.images, given, f"scoring {role}")
            _tell_rate(columns, len(examples.images), time.perf_counter() - started)
            _check_finite({name: found[name] for name in columns if name in SCORES}, examples, role)
            return found

        return score

    likelihood = _LIKELIHOOD if "nll" in singles else ()
    evidence = ("elbo",) if model.sampled else ()
    score = scorer_of(tuple(dict.fromkeys((*singles, *_QUALITY, *evidence, *likelihood))))
    calibration, test = score("calibration"), score("test")
    if members:
        val = scorer_of(members)("val")
        calibration["fusion"], test["fusion"] = fuse(val, calibration), fuse(val, test)
    return calibration, test


def _check_finite(columns: dict[str, np.ndarray], examples: Examples, role: str) -> None:
    """Refuses scores that are no numbers: they have no rank, and a threshold on them no meaning."""
    for name, values in columns.items():
        broken = np.flatnonzero(~np.isfinite(values))
        if len(broken):
            raise UserError(
                f"the score {name} is {values[broken[0]]} for {examples.names[broken[0]]} ({role}), and "
                f"for {len(broken)} of {len(values)} images in all; take it out of scoring.names and "
                "scoring.fusion, or train a model that can judge them"
            )


def _given(
    config: ml_collections.ConfigDict, dataset: Dataset, examples: Examples
) -> np.ndarray | None:
    """The classes that a conditional model is given; None where it looks at all."""
    if config.scoring.condition != "given":
        return None
    return conditions(config, dataset, examples)


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
    path = page.write(workdir, evaluation.gallery, evaluation.warnings)
    print(table.terminal_table(evaluation.results))
    for warning in evaluation.warnings:
        print(f"caveat: {warning}")
    print(f"\nreport: {path}")


def _tell_rate(columns: Sequence[str], num_images: int, seconds: float) -> None:
    slow = [name for name in columns if name in BY_OPTIMISATION]
    if slow:
        log.info(
            "%s: %d images in %.1f s with compilation, %.3g images/s",
            ", ".join(slow), num_images, seconds, num_images / seconds,
        )  # fmt: skip
