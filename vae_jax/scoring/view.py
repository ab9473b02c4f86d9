"""What a score sees of a batch.

B batch, H W image, C channels, Z latent.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Key

from vae_jax.model import importance
from vae_jax.model.objective import Terms
from vae_jax.model.vae import BoundModel, Posterior

# A score's number enters the keys of what it draws: append, never reorder.
_IMPORTANCE_STREAM = 0


@dataclasses.dataclass(frozen=True)
class View:
    """What the model makes of a batch, and what a score may ask of it.

    It exists only while a scoring step is traced.

    Attributes:
        x: the images.
        x_hat: reconstruction from the posterior mean, so deterministic.
        posterior: q(z | x).
        terms: of the negative ELBO, nats, from one posterior sample of the `eval` stream.
        x_hat_noisy: reconstruction from the posterior mean of x with Gaussian noise on it.
        bound: the model, for scores that ask it more.
        keys: one key an image, for scores that draw; fold a number of their own into it first.
        scoring_config: the `scoring` group of the config.
        fits: name of a score -> what `fits.fit_scores` found for it on training normals.
        host: name of a score -> what `host_features` reads off each image, one number an image.
    """

    x: Float[Array, "B H W C"]
    x_hat: Float[Array, "B H W C"]
    posterior: Posterior
    terms: Terms
    x_hat_noisy: Float[Array, "B H W C"]
    bound: BoundModel
    keys: Key[Array, "B"]
    scoring_config: ml_collections.ConfigDict
    fits: dict[str, Any]
    host: dict[str, Float[Array, "B"]]

    @property
    def num_values(self) -> int:
        """How many values of an image count: those of the region of interest, every channel."""
        return self.bound.model.select_region(self.x)[0].size

    @functools.cached_property
    def log_likelihood(self) -> Float[Array, "B"]:
        """log p(x), nats, from `scoring.importance_samples` samples; scores share the one estimate."""
        keys = jax.vmap(lambda key: jax.random.fold_in(key, _IMPORTANCE_STREAM))(self.keys)
        return importance.log_likelihood(
            self.bound, self.x, self.posterior, keys, self.scoring_config.importance_samples
        )


# One number an image; higher is more abnormal.
Score = Callable[[View], Float[Array, "B"]]


@dataclasses.dataclass(frozen=True)
class TrainingNormals:
    """Some training normals; the functions compute once, and only when asked.

    Attributes:
        codes: () -> their posteriors, NumPy [n, Z].
        column: name in `scores.COLUMNS` that needs no fit -> that column, float64 [n].
        scoring_config: the `scoring` group of the config.
        seed: of the run, for fits that draw.
    """

    codes: Callable[[], Posterior]
    column: Callable[[str], np.ndarray]
    scoring_config: ml_collections.ConfigDict
    seed: int
