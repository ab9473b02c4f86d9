"""Every score of the calibration and test images, and the figures that are read beside them."""

import logging
import time
from collections.abc import Sequence

import jax
import ml_collections
import numpy as np

from vae_jax.data.class_indices import class_indices
from vae_jax.data.examples import Dataset, Examples
from vae_jax.errors import UserError
from vae_jax.model.vae import VAE
from vae_jax.scoring import fits
from vae_jax.scoring.fusion import fuse
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.scores import BY_OPTIMISATION, NEEDS_POSTERIOR, SCORES

log = logging.getLogger(__name__)

# Figures of the model that are read beside the scores, in the same pass.
_QUALITY = ("quality_mse", "quality_psnr", "quality_ssim", "noisy_mse", "reconstruction", "kl")
# They share one estimate, so where the first is selected the second is free.
_LIKELIHOOD = ("nll", "bits_per_dim")


def select_supported_scores(model: VAE, names: Sequence[str], field: str) -> list[str]:
    """Leaves out what asks for a posterior's width where the model has none.

    Raises:
        UserError: if nothing is left; `field` of the config is to blame.
    """
    found = [name for name in names if model.sampled or name not in NEEDS_POSTERIOR]
    if not found:
        raise UserError(
            f"{field} names only scores that need a posterior ({', '.join(names)}), which an "
            "autoencoder has not; add one, as mse"
        )
    return found


def score_calibration_and_test(
    config: ml_collections.ConfigDict,
    model: VAE,
    params: dict,
    dataset: Dataset,
    names: Sequence[str],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Scores the calibration and the test images.

    Args:
        config: resolved.
        model: of the run.
        params: its best.
        dataset: prepared.
        names: of scores, as `select_supported_scores` leaves them.

    Returns:
        The columns of the calibration and of the test images, float64 [N] each by name: the scores, and
        the figures of the model that are read beside them.

    Raises:
        UserError: if a score is not a number.
    """
    scoring_config = config.scoring
    members = []
    if "fusion" in names:
        members = select_supported_scores(model, scoring_config.fusion, "scoring.fusion")
    singles = [name for name in dict.fromkeys((*names, *members)) if name != "fusion"]
    fitted = fits.fit_scores(
        singles, model, params, dataset.train.images, scoring_config, config.seed,
        _given(config, dataset, dataset.train),
    )  # fmt: skip

    def scorer_of(columns: Sequence[str], *roles: str):
        max_images = max(len(getattr(dataset, role).images) for role in roles)
        scorer = make_scorer(
            model, columns, scoring_config, config.seed, jax.devices(), fitted, max_images
        )

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
    columns = tuple(dict.fromkeys((*singles, *_QUALITY, *evidence, *likelihood)))
    score = scorer_of(columns, "calibration", "test")
    calibration, test = score("calibration"), score("test")
    if members:
        val = scorer_of(members, "val")("val")
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
    return class_indices(dataset, examples, config.model.num_classes, all_known=True)


def _tell_rate(columns: Sequence[str], num_images: int, seconds: float) -> None:
    slow = [name for name in columns if name in BY_OPTIMISATION]
    if slow:
        log.info(
            "%s: %d images in %.1f s with compilation, %.3g images/s",
            ", ".join(slow), num_images, seconds, num_images / seconds,
        )  # fmt: skip
