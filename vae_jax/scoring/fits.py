"""What some scores know of training normals, fitted once before anything is scored.

n training normals.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Int32, UInt8

from vae_jax.data.image_store import Images, take_images
from vae_jax.data.row_draw import draw_rows
from vae_jax.model.vae import VAE, Posterior
from vae_jax.scoring import latent, probabilistic
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.view import TrainingNormals

# Training normals are drawn at random down to this, which bounds time and memory.
_MOST_NORMALS = 10_000

# Name of a score -> normals -> pytree of arrays, which the score finds under its name in `view.fits`.
FITS: dict[str, Callable[[TrainingNormals], Any]] = {
    "typicality": probabilistic.fit_typicality,
    "mahalanobis": latent.fit_mahalanobis,
    "knn": latent.fit_knn,
    "gmm": latent.fit_gmm,
    "latent_statistics": latent.fit_latent_statistics,
}


def fit_scores(
    names: Sequence[str],
    model: VAE,
    params: dict,
    images: UInt8[Images, "n H W C"],
    scoring_config: ml_collections.ConfigDict,
    seed: int,
    class_indices: Int32[np.ndarray, "n"] | None = None,
) -> dict[str, Any]:
    """Fits what the named scores need, on at most 10,000 training normals drawn by the seed.

    Args:
        names: scores; those that need nothing are passed over.
        model: that will score.
        params: its parameters.
        images: training normals.
        scoring_config: the `scoring` group of the config.
        seed: of the draw, and of the `eval` stream.
        class_indices: class of each image, for a conditional model to which it is given.
    """
    names = [name for name in names if name in FITS]
    if not names:
        return {}
    rows = draw_rows(len(images), _MOST_NORMALS, seed, in_order=True)
    images = take_images(images, rows)
    class_indices = None if class_indices is None else class_indices[rows]

    def column(name: str) -> np.ndarray:
        told = f"fitting on {name}"
        score = make_scorer(
            model, (name,), scoring_config, seed, jax.devices(), max_images=len(images)
        )
        return score(params, images, class_indices, told)[name]

    def codes() -> Posterior:
        return TrainedModel(model, params, scoring_config.batch_size).encode(images, class_indices)

    normals = TrainingNormals(functools.cache(codes), functools.cache(column), scoring_config, seed)
    return {name: FITS[name](normals) for name in names}
