"""Training and calibration of a detector from images in memory, without a test set and without a report."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator

import absl.logging
import ml_collections

from vae_jax.data.examples import Dataset
from vae_jax.detector.parts import DetectorParts, collect_parts
from vae_jax.evaluate import load_setup
from vae_jax.observation.observed import observe_dataset
from vae_jax.score_names import is_baseline, list_scores
from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.pictures import make_pictures
from vae_jax.scoring.role_scores import RoleScores, score_examples, select_supported_scores
from vae_jax.scoring.scores import deciding_score
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.train import train
from vae_jax.workdir_claim import claim_workdir

_ROLES = ("train", "val", "calibration")


def fit_detector(config: ml_collections.ConfigDict, dataset: Dataset) -> DetectorParts:
    """Trains a model, scores the calibration normals, and returns the detector.

    Training and scoring are those of a run. The checkpoints, from which the best state is taken, are in a
    temporary folder, as are observations of the images.

    Args:
        config: resolved and valid config; its folders are not used.
        dataset: images of the roles train, val and calibration; no others are read.

    Raises:
        UserError: if a loss or a score is not a finite number.
    """
    config = config.copy_and_resolve_references()
    with _quieten_absl(), tempfile.TemporaryDirectory(prefix="vae_jax_fit_") as folder:
        workdir = pathlib.Path(folder) / "run"
        config.data.dir = folder
        claim_workdir(workdir, config)
        dataset = observe_dataset(dataset, config, _ROLES)
        train(config, workdir, dataset)
        parts = _calibrate(config, load_setup(config, workdir, dataset))
    parts.config.data.dir = ""
    return parts


def _calibrate(config: ml_collections.ConfigDict, setup: ScoringSetup) -> DetectorParts:
    dataset, scoring_config = setup.dataset, config.scoring
    wanted = list_scores(scoring_config.names, scoring_config.decision)
    names = select_supported_scores(setup.trained.model, wanted, "scoring.names")
    columns, fitted = score_examples(setup, names, {"calibration": dataset.calibration})
    calibration = columns["calibration"]
    baselines = Baselines(dataset.train, scoring_config.pca_components, config.seed, dataset.region)
    named = [name for name in names if is_baseline(name)]
    if named:
        calibration |= baselines.score_named(dataset.calibration, named)
    pictures = make_pictures(setup, deciding_score(scoring_config.decision, names))
    role_scores = RoleScores(calibration, calibration, fitted)
    return collect_parts(config, setup, names, role_scores, baselines, pictures)


@contextlib.contextmanager
def _quieten_absl() -> Iterator[None]:
    """Hides the warnings of Orbax, which are about the settings of this package."""
    verbosity = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.ERROR)
    try:
        yield
    finally:
        absl.logging.set_verbosity(verbosity)
