"""Fits on training normals that some scores need before they can score an image.

n training normals, H W image, C channels.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from vae_jax.data.batches import to_host_float
from vae_jax.data.image_store import Images, take_images
from vae_jax.data.row_draw import draw_rows
from vae_jax.model.vae import Posterior
from vae_jax.observation.observed import ObservedImages, select_inputs
from vae_jax.score_names import ScoreName, parse_score_name
from vae_jax.scoring import joint_gaussian, latent, place_gaussian, probabilistic
from vae_jax.scoring.inference import ClassIndices, TrainedModel
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.view import MAX_RESIDUALS, TrainingNormals

# A random choice of this many training normals bounds time and memory.
_MAX_NORMALS = 10_000

# Name of a score -> function that fits it on training normals. The fit is a pytree of arrays, which the
# score finds under its own name in `View.fits`.
FITS: dict[str, Callable[[TrainingNormals], Any]] = {
    "typicality": probabilistic.fit_typicality,
    "mahalanobis": latent.fit_mahalanobis,
    "knn": latent.fit_knn,
    "gmm": latent.fit_gmm,
    "latent_statistics": latent.fit_latent_statistics,
    "place_gaussian": lambda normals: place_gaussian.fit_place_gaussian(normals.residuals()),
    "joint": joint_gaussian.fit_joint,
}

# Name of a score -> type of its fit, if it is neither an array nor a dict of arrays.
_FIT_TYPES: dict[str, Callable[..., Any]] = {
    "mahalanobis": latent.Gaussian,
    "gmm": latent.Mixture,
    "place_gaussian": place_gaussian.PlaceGaussian,
    "joint": latent.Gaussian,
}


def restore_fits(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fits of `fit_scores` from plain dicts of arrays, `flax.serialization.to_state_dict`."""
    fits = {}
    for name, value in tree.items():
        if name in _FIT_TYPES:
            fits[name] = _FIT_TYPES[name](**value)
        elif name in FITS:
            fits[name] = value
        else:  # a branch of a model of several observations
            fits[name] = restore_fits(value)
    return fits


def fit_scores(
    names: Sequence[str],
    trained: TrainedModel,
    images: Images | ObservedImages,
    scoring_config: ml_collections.ConfigDict,
    seed: int,
    class_indices: ClassIndices = None,
) -> dict[str, Any]:
    """Fits the named scores on at most 10,000 training normals, chosen at random.

    Args:
        names: names of scores of the model; a score that needs no fit is skipped.
        trained: model that will compute the scores.
        images: training normals, or their observations.
        scoring_config: the `scoring` group of the config.
        seed: seed of the random choice and of the `eval` stream.
        class_indices: class of each image for a conditional model that is given classes, else None.

    Returns:
        The fit of each measure that needs one, by the name of the measure; for a model of several
        observations, name of the branch -> such a dict. Empty if no score needs a fit.
    """
    parsed = [parse_score_name(name) for name in names]
    measures = {
        branch: [
            measure
            for measure in FITS
            if any((name.observation, name.measure) == (branch, measure) for name in parsed)
        ]
        for branch in trained.model.branches
    }
    if not any(measures.values()):
        return {}
    rows = draw_rows(len(images), _MAX_NORMALS, seed, in_order=True)
    images = take_images(images, rows)
    class_indices = None if class_indices is None else class_indices[rows]
    fits = {}
    for branch in trained.model.branches:
        normals = _describe_normals(branch, trained, images, scoring_config, seed, class_indices)
        fits[branch] = {measure: FITS[measure](normals) for measure in measures[branch]}
    return trained.model.join(fits)


def _describe_normals(
    branch: str,
    trained: TrainedModel,
    images: Images | ObservedImages,
    scoring_config: ml_collections.ConfigDict,
    seed: int,
    class_indices: ClassIndices,
) -> TrainingNormals:
    """Returns what the fits of a branch read; each quantity is computed when it is first needed."""
    branch_trained, branch_images = trained.select_branch(branch), select_inputs(images, branch)

    def compute_posterior() -> Posterior:
        return branch_trained.encode(branch_images, class_indices)

    def compute_residuals() -> np.ndarray:
        rows = draw_rows(len(branch_images), MAX_RESIDUALS, seed, in_order=True)
        x = take_images(branch_images, rows)[:]
        return to_host_float(x) - branch_trained.reconstruct(x).x_hat

    def compute_score(measure: str) -> np.ndarray:
        name = str(ScoreName(branch, measure))
        score = make_scorer(
            trained.model, (name,), scoring_config, seed, jax.devices(), max_images=len(images)
        )
        return score(trained.params, images, class_indices, f"fitting on {name}")[name]

    def read_pooled() -> np.ndarray | None:
        return to_host_float(images.arrays["pooled"]) if branch == "features" else None

    return TrainingNormals(
        *map(functools.cache, (compute_posterior, compute_residuals, read_pooled, compute_score)),
        scoring_config,
        seed,
    )
