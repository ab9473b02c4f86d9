"""The mode `verify`: it shows that a detector gives the numbers of its evaluation.

N test images.
"""

import csv
import pathlib

import jax
import ml_collections
import numpy as np
from jaxtyping import Float

from vae_jax.data import pipeline
from vae_jax.data.examples import Examples
from vae_jax.data.whole_images import take_whole_images
from vae_jax.detector.detector import Detector
from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.role_scores import Columns
from vae_jax.scoring.whole_images import join_columns
from vae_jax.training.checkpoint import load_best_params

# Largest difference of a score, in standard deviations of the calibration normals. An evaluation and a
# prediction are different programs, and round float32 differently.
TOLERANCE = 1e-4


def run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Compares the detector of a run with its checkpoint and with scores.csv, and prints the differences.

    Raises:
        UserError: if they disagree, the data has changed since the evaluation, or a file is missing.
    """
    detector = Detector.load(workdir)
    dataset = pipeline.load_dataset(config.data, config.seed)
    if dataset.fingerprint != detector.parts.fingerprint:
        raise UserError(
            f"the data has changed since {workdir} was evaluated (fingerprint {detector.parts.fingerprint} "
            f"then, {dataset.fingerprint} now), so nothing can be compared; run --mode=evaluate again"
        )
    _compare_parameters(detector, load_best_params(workdir, dataset.fingerprint), workdir)
    columns = _score(detector, dataset.test)
    names = take_whole_images(dataset.test).names
    stored = _read_columns(workdir, len(names), detector.names)
    differences = {
        name: float(np.abs(columns[name] - stored[name]).max() / _measure_spread(detector, name))
        for name in detector.names
    }
    decision = detector.decide(columns)
    num_flipped = int(np.sum(decision.anomalous != (stored["anomalous"] == 1)))
    print(
        f"{len(names)} test images; largest difference in standard deviations of calibration normals:"
    )
    for name, difference in differences.items():
        print(f"  {name:<32} {difference:.1e}")
    print(f"decisions that differ: {num_flipped}; tolerance of the scores: {TOLERANCE:g}")
    wrong = [name for name, difference in differences.items() if not difference <= TOLERANCE]
    if wrong or num_flipped:
        raise UserError(
            f"the detector in {workdir} and its evaluation disagree ({', '.join(wrong) or 'decisions'}); "
            "run --mode=evaluate again, on the same kind of device"
        )


def _compare_parameters(detector: Detector, params: dict, workdir: pathlib.Path) -> None:
    ours, theirs = (jax.tree.leaves(tree) for tree in (detector.parts.params, params))
    if len(ours) != len(theirs) or not all(map(np.array_equal, ours, theirs)):
        raise UserError(
            f"the detector in {workdir} was made from another checkpoint; run --mode=evaluate again"
        )


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


def _read_columns(
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
    except (OSError, KeyError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{path} cannot be compared ({reason}); run --mode=evaluate again"
        ) from error


def _measure_spread(detector: Detector, name: str) -> float:
    values = detector.parts.calibration[name]
    return max(float(values.std()), 1e-6 * float(np.abs(values).max()), np.finfo(np.float32).tiny)
