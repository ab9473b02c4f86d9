"""The mode `verify`: it shows that a detector gives the numbers of its evaluation.

N test images.
"""

import csv
import dataclasses
import pathlib

import jax
import ml_collections
import numpy as np
from jaxtyping import Float

from vae_jax.data import pipeline
from vae_jax.data.examples import Examples
from vae_jax.data.whole_images import take_whole_images
from vae_jax.detector.detector import Detector
from vae_jax.detector.onnx_scorer import OnnxScorer, is_onnx_model
from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.role_scores import Columns
from vae_jax.scoring.whole_images import join_columns
from vae_jax.training.best_params import load_best_params

# Largest difference of a score, in standard deviations of the calibration normals. An evaluation and a
# prediction are different programs, and round float32 differently.
TOLERANCE = 1e-4
# An exported program also projects features differently in the last digit, and then a few of them round to
# another float16. A decision may differ where a score is so near to its threshold.
ARTIFACT_TOLERANCE = 5e-3


def run(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, artifact: pathlib.Path | None = None
) -> None:
    """Compares the detector of a run with its checkpoint and with scores.csv, and prints the differences.

    Args:
        config: config of the run.
        workdir: workdir of the run.
        artifact: exported detector of the run, which is compared as well; None for none.

    Raises:
        UserError: if they disagree, the data has changed since the evaluation, or a file is missing.
    """
    detector = Detector.load(workdir)
    detectors = [(f"the detector in {workdir}", detector, TOLERANCE)]
    if artifact is not None:
        exported = (
            _load_onnx(artifact, detector) if is_onnx_model(artifact) else Detector.load(artifact)
        )
        detectors.append((str(artifact), exported, ARTIFACT_TOLERANCE))
    dataset = pipeline.load_dataset(config.data, config.seed)
    for name, detector, _ in detectors:
        _check_fingerprint(name, detector, dataset.fingerprint)
    params = load_best_params(workdir, dataset.fingerprint)
    for name, detector, tolerance in detectors:
        _compare_parameters(name, detector, params)
        _compare_scores(name, detector, dataset.test, workdir, tolerance)


def _load_onnx(path: pathlib.Path, detector: Detector) -> Detector:
    """Returns the detector of a run with the scores that ONNX Runtime computes.

    Raises:
        UserError: if the file was exported from another detector.
    """
    scorer = OnnxScorer(path, detector.scorer.step)
    if scorer.description.get("detector") != detector.parts.digest:
        raise UserError(f"{path} was exported from another detector; run --mode=export again")
    return Detector(dataclasses.replace(detector.parts, names=scorer.names), scorer)


def _check_fingerprint(name: str, detector: Detector, fingerprint: str) -> None:
    if detector.parts.fingerprint != fingerprint:
        raise UserError(
            f"the data has changed since {name} was fitted (fingerprint {detector.parts.fingerprint} then, "
            f"{fingerprint} now), so nothing can be compared; name the images of the run with "
            "--config.data.manual_dir=DIR, or train again"
        )


def _compare_scores(
    name: str, detector: Detector, test: Examples, workdir: pathlib.Path, tolerance: float
) -> None:
    """Prints the largest differences of the scores of the test images from those in scores.csv."""
    columns = _score(detector, test)
    num_images = len(take_whole_images(test).names)
    stored = read_columns(workdir, num_images, detector.names)
    differences = {
        score: float(
            np.abs(columns[score] - stored[score]).max() / _measure_spread(detector, score)
        )
        for score in detector.names
    }
    decision = detector.decide(columns)
    # Each decision counts that no rounding explains.
    margin = tolerance * _measure_spread(detector, decision.score)
    is_clear = np.abs(decision.scores - detector.threshold.upper) > margin
    is_flipped = decision.anomalous != (stored["anomalous"] == 1)
    num_flipped = int(np.sum(is_flipped & is_clear))
    print(
        f"{name}: {num_images} test images; largest difference from scores.csv in standard deviations of "
        "calibration normals:"
    )
    for score, difference in differences.items():
        print(f"  {score:<32} {difference:.1e}")
    print(f"decisions that differ: {num_flipped}; tolerance of the scores: {tolerance:g}")
    wrong = [score for score, difference in differences.items() if not difference <= tolerance]
    if wrong or num_flipped:
        raise UserError(
            f"{name} and the evaluation in {workdir} disagree ({', '.join(wrong) or 'decisions'}); run "
            "--mode=evaluate again, on the same kind of device, and export again"
        )


def _compare_parameters(name: str, detector: Detector, params: dict) -> None:
    ours, theirs = (jax.tree.leaves(tree) for tree in (detector.parts.params, params))
    if len(ours) != len(theirs) or not all(map(np.array_equal, ours, theirs)):
        raise UserError(f"{name} was made from another checkpoint; run --mode=evaluate again")


def _score(detector: Detector, test: Examples) -> Columns:
    """Scores the test images as the detector scores new ones."""
    parts = []
    with open_progress_bar(len(test), "verifying", "image") as bar:
        for start in range(0, len(test), detector.scorer.step):
            images = test.images[start : start + detector.scorer.step]
            parts.append(detector.scorer.score(np.asarray(images))[0])
            bar.update(len(images))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return detector.scorer.combine(join_columns(columns, test))


def read_columns(
    workdir: pathlib.Path, num_images: int, names: tuple[str, ...]
) -> dict[str, Float[np.ndarray, "N"]]:
    """Returns columns of scores.csv, whose rows are in the order of the test images."""
    path = workdir / "scores.csv"
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        if len(rows) != num_images:
            raise ValueError(f"{len(rows)} rows for {num_images} test images")
        return {
            name: np.array([float(row[name]) for row in rows]) for name in (*names, "anomalous")
        }
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{path} cannot be compared ({reason}); run --mode=evaluate again"
        ) from error


def _measure_spread(detector: Detector, name: str) -> float:
    values = detector.parts.calibration[name]
    return max(float(values.std()), 1e-6 * float(np.abs(values).max()), np.finfo(np.float32).tiny)
