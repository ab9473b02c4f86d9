"""Fits on training normals that some scores need before they can score an image.

n training normals, H W image, C channels.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import UInt8

from vae_jax.data.image_store import Images, take_images
from vae_jax.data.row_draw import draw_rows
from vae_jax.model.vae import Posterior
from vae_jax.scoring import latent, probabilistic
from vae_jax.scoring.inference import ClassIndices, TrainedModel
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.view import TrainingNormals

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
}


def fit_scores(
    names: Sequence[str],
    trained: TrainedModel,
    images: UInt8[Images, "n H W C"],
    scoring_config: ml_collections.ConfigDict,
    seed: int,
    class_indices: ClassIndices = None,
) -> dict[str, Any]:
    """Fits the named scores on at most 10,000 training normals, chosen at random.

    Args:
        names: names of scores; a score that needs no fit is skipped.
        trained: model that will compute the scores.
        images: training normals.
        scoring_config: the `scoring` group of the config.
        seed: seed of the random choice and of the `eval` stream.
        class_indices: class of each image for a conditional model that is given classes, else None.

    Returns:
        The fit of each score that needs one, by the name of the score.
    """
    names = [name for name in names if name in FITS]
    if not names:
        return {}
    rows = draw_rows(len(images), _MAX_NORMALS, seed, in_order=True)
    images = take_images(images, rows)
    class_indices = None if class_indices is None else class_indices[rows]

    def compute_posterior() -> Posterior:
        return trained.encode(images, class_indices)

    def compute_score(name: str) -> np.ndarray:
        score = make_scorer(
            trained.model, (name,), scoring_config, seed, jax.devices(), max_images=len(images)
        )
        return score(trained.params, images, class_indices, f"fitting on {name}")[name]

    normals = TrainingNormals(
        functools.cache(compute_posterior), functools.cache(compute_score), scoring_config, seed
    )
    return {name: FITS[name](normals) for name in names}
