"""The only evaluator: best checkpoint and test images in, results, scores and report out."""

import csv
import dataclasses
import io
import json
import logging
import pathlib
import time
from collections.abc import Sequence

import jax
import ml_collections
import numpy as np

from vae_jax import workdir as workdir_lib
from vae_jax.data import pipeline
from vae_jax.data.pipeline import Dataset, Examples
from vae_jax.errors import UserError
from vae_jax.metrics import bootstrap, detection
from vae_jax.model.vae import build_model, num_params
from vae_jax.report import caveats, page, selection, table
from vae_jax.report.gallery import Gallery
from vae_jax.scoring import baselines, reference
from vae_jax.scoring.calibration import THRESHOLD_RULES, p_values
from vae_jax.scoring.fusion import fuse
from vae_jax.scoring.reconstruct import make_reconstruct, sample_prior
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.scores import BY_OPTIMISATION, NEEDS_POSTERIOR
from vae_jax.training import history
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.memory import peak_memory_bytes

log = logging.getLogger(__name__)

# Figures of the model that are read beside the scores, in the same pass.
_QUALITY = ("quality_mse", "quality_psnr", "quality_ssim", "noisy_mse", "reconstruction", "kl")
# They share one estimate, so where the first is selected the second is free.
_LIKELIHOOD = ("nll", "bits_per_dim")
# A latent dimension is active when its mean varies more than this over images (Burda et al. 2016).
_ACTIVE_VARIANCE = 0.01


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What one evaluation found.

    Attributes:
        results: the content of results.json.
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
    dataset = pipeline.load(config.data, config.seed)
    report(config, workdir, evaluate(config, workdir, dataset))


def evaluate(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, dataset: Dataset
) -> Evaluation:
    """Scores the test images with the best checkpoint, by thresholds from calibration normals alone.

    Raises:
        UserError: if the workdir holds no checkpoint, or a score is not a number.
    """
    model = build_model(config)
    params = _best_params(workdir, dataset)
    settings = config.scoring
    names = [n for n in settings.names if model.sampled or n not in NEEDS_POSTERIOR]
    decision = settings.decision if settings.decision in names else names[0]

    fused = settings.fusion if "fusion" in names else ()
    members = [n for n in fused if model.sampled or n not in NEEDS_POSTERIOR]
    if fused and not members:
        raise UserError(
            "scoring.fusion names only scores that need a posterior, which an autoencoder has not; "
            "add one, as mse"
        )
    singles = [n for n in dict.fromkeys((*names, *members)) if n != "fusion"]
    fitted = reference.fit(singles, model, params, dataset.train.images, settings, config.seed)

    def score(examples: Examples, columns: Sequence[str], description: str):
        scorer = make_scorer(
            model, columns, settings, config.seed, jax.devices(), fitted, description
        )
        started = time.perf_counter()
        found = scorer(params, examples.images)
        _tell_rate(columns, len(examples.images), time.perf_counter() - started)
        return found

    likelihood = _LIKELIHOOD if "nll" in singles else ()
    columns = tuple(dict.fromkeys((*singles, *_QUALITY, *likelihood)))
    calibration = score(dataset.calibration, columns, "scoring calibration")
    test = score(dataset.test, columns, "scoring test")
    if members:
        val = score(dataset.val, members, "scoring validation")
        calibration["fusion"], test["fusion"] = fuse(val, calibration), fuse(val, test)
    thresholds = {
        name: THRESHOLD_RULES[settings.threshold_rule](calibration[name], settings)
        for name in names
    }
    decided = p_values(calibration[decision], test[decision])
    anomalous = thresholds[decision].flags(test[decision])

    reconstruct = make_reconstruct(model, params, min(settings.batch_size, 64))
    samples = sample_prior(model, params, config.report.samples, config.seed)
    has_both = len(np.unique(dataset.test.labels)) == 2
    rivals = (
        baselines.scores(dataset.train, dataset.test, settings.pca_components, config.seed)
        if has_both
        else {}
    )
    results = {
        "dataset": _describe(dataset),
        "reconstruction": _reconstruction(dataset.test.labels, test, settings.noise_std),
        "likelihood": _likelihood(dataset.test.labels, test, settings) if model.sampled else {},
        "detection": {
            name: _detection(dataset.test, test[name], thresholds[name], config) for name in names
        },
        "baselines": {
            name: bootstrap.intervals(
                values, dataset.test.labels, settings.bootstrap_resamples, config.seed
            )
            for name, values in rivals.items()
        },
        "latent": _latent(reconstruct, dataset) if model.sampled else {},
        "cost": _cost(workdir, params),
    }
    rows = [
        {
            "file": file,
            "class": class_,
            "label": int(label),
            **{name: float(test[name][i]) for name in names},
            **{name: float(rivals[name][i]) for name in ("pca",) if name in rivals},
            "p_value": float(decided[i]),
            "anomalous": int(anomalous[i]),
        }
        for i, (file, class_, label) in enumerate(
            zip(dataset.test.files, dataset.test.classes, dataset.test.labels, strict=True)
        )
    ]
    gallery = selection.select(
        dataset.test, test[decision], decided, dataset.calibration, reconstruct, samples,
        config.report.cases, config.seed,
    )  # fmt: skip
    results = {name: part for name, part in results.items() if part or name in _ALWAYS}
    promised = settings.false_alarm_rate if settings.threshold_rule == "quantile" else None
    warnings = [t.warning for t in thresholds.values() if t.warning]
    warnings += caveats.caveats(results, decision, promised)
    return Evaluation(results, rows, gallery, list(dict.fromkeys(warnings)))


# These keys of results.json stand there even when nothing could be measured.
_ALWAYS = ("dataset", "reconstruction", "detection", "baselines", "cost")


def report(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, evaluation: Evaluation
) -> None:
    """Writes results.json, scores.csv, figures and report.html, and prints the table."""
    workdir_lib.write_text(
        workdir / "results.json", json.dumps(evaluation.results, indent=2, allow_nan=False) + "\n"
    )
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


def _best_params(workdir: pathlib.Path, dataset: Dataset) -> dict:
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        step = checkpoints.best()
        if step is None:
            raise UserError(f"{workdir} holds no checkpoint of a validated epoch; train it first")
        params, position = checkpoints.restore_params(step)
    if position["fingerprint"] != dataset.fingerprint:
        log.warning(
            "the data is not what this model was trained on (fingerprint %s then, %s now)",
            position["fingerprint"], dataset.fingerprint,
        )  # fmt: skip
    return params


def _tell_rate(columns: Sequence[str], num_images: int, seconds: float) -> None:
    slow = [name for name in columns if name in BY_OPTIMISATION]
    if slow:
        log.info(
            "%s: %d images in %.1f s with compilation, %.3g images/s",
            ", ".join(slow), num_images, seconds, num_images / seconds,
        )  # fmt: skip


def _describe(dataset: Dataset) -> dict:
    labels = dataset.test.labels
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "image_size": dataset.image_size,
        "channels": dataset.channels,
        "counts": {
            "train": len(dataset.train.images),
            "val": len(dataset.val.images),
            "calibration": len(dataset.calibration.images),
            "test_normal": int(np.sum(labels == 0)),
            "test_anomaly": int(np.sum(labels == 1)),
        },
    }


def _reconstruction(labels: np.ndarray, test: dict, noise_std: float) -> dict:
    """Image quality, mean over the images of each label; the noisy figure is of normals."""
    quality = {
        kind: {
            name: float(test[f"quality_{name}"][labels == label].mean())
            for name in ("mse", "psnr", "ssim")
        }
        for label, kind in enumerate(("normal", "anomaly"))
        if np.any(labels == label)
    }
    noisy_mse = float(test["noisy_mse"][labels == 0].mean())
    return quality | {"noisy": {"noise_std": noise_std, "mse": noisy_mse}}


def _likelihood(labels: np.ndarray, test: dict, settings: ml_collections.ConfigDict) -> dict:
    """Of normal test images, mean; the ELBO itself, so its sign is the score's turned round."""
    found = {"elbo_nats": -float((test["reconstruction"] + test["kl"])[labels == 0].mean())}
    if "nll" in test:
        found |= {
            "nll_nats": float(test["nll"][labels == 0].mean()),
            "bits_per_dim": float(test["bits_per_dim"][labels == 0].mean()),
            "importance_samples": settings.importance_samples,
        }
    return found


def _detection(test: Examples, scores: np.ndarray, threshold, config) -> dict:
    entry = {}
    if len(np.unique(test.labels)) == 2:
        resamples = config.scoring.bootstrap_resamples
        entry |= bootstrap.intervals(scores, test.labels, resamples, config.seed)
        entry["oracle"] = detection.oracle(scores, test.labels)
    entry |= {"threshold": threshold.upper, "threshold_rule": threshold.rule}
    if threshold.lower is not None:
        entry["threshold_low"] = threshold.lower
    flagged = threshold.flags(scores)
    return entry | detection.at_decision(flagged, test.labels, test.classes)


def _latent(reconstruct, dataset: Dataset) -> dict:
    """KL of each dimension over calibration normals, nats, and how many dimensions carry anything."""
    found = reconstruct(dataset.calibration.images)
    kl = 0.5 * (np.square(found.mu) + np.exp(found.logvar) - 1 - found.logvar)
    return {
        "active_units": int(np.sum(found.mu.var(axis=0) > _ACTIVE_VARIANCE)),
        "kl_per_dimension": [float(value) for value in kl.mean(axis=0)],
    }


def _cost(workdir: pathlib.Path, params: dict) -> dict:
    lines = [line for line in history.read(workdir) if line["split"] == "train"]
    peak = max([peak_memory_bytes(), *(line["peak_memory_bytes"] for line in lines)])
    cost = {"parameters": num_params(params), "peak_memory_bytes": peak}
    if lines:
        # The median, because the first epoch of every start compiles.
        rate = float(np.median([line["images_per_second"] for line in lines]))
        cost |= {"train_seconds": sum(line["seconds"] for line in lines), "images_per_second": rate}
    return cost
