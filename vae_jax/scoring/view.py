"""What a score can read: the view of a batch, and the training normals that a score is fitted on.

B batch, n training normals, H W image, C channels, Z latent.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Array, Float, Key

from vae_jax import noise
from vae_jax.model import importance
from vae_jax.model.objective import Terms
from vae_jax.model.vae import BoundModel, Posterior


@dataclasses.dataclass(frozen=True)
class View:
    """A batch, the model's outputs for it, and everything else that a score may read.

    A view exists only while a scoring step is traced.

    Attributes:
        x: images, in [0, 1].
        x_hat: reconstructions from the posterior mean, which need no random numbers.
        posterior: q(z | x).
        terms: terms of the negative ELBO, nats, from one posterior sample of the `eval` stream.
        x_hat_noisy: reconstructions, from the posterior mean, of the images with Gaussian noise added.
        bound: the model with its parameters and classes, for scores that compute more with it.
        keys: one key per image, for scores that draw random numbers; a score first folds its own number
            into them.
        scoring_config: the `scoring` group of the config.
        fits: name of a score -> its fit on training normals, from `fits.fit_scores`.
        host: name of a score -> its value of `scores.HOST_FEATURES`, one number per image.
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
        """Number of values of an image that count: pixels in the region of interest times channels."""
        return self.bound.model.select_region(self.x)[0].size

    @functools.cached_property
    def log_likelihood(self) -> Float[Array, "B"]:
        """log p(x), nats, from `scoring.importance_samples` samples; all scores share one estimate."""
        keys = noise.fold_into_each(self.keys, noise.IMPORTANCE_DRAW)
        return importance.log_likelihood(
            self.bound, self.x, self.posterior, keys, self.scoring_config.importance_samples
        )


# Returns one number per image; a higher number means a more abnormal image.
Score = Callable[[View], Float[Array, "B"]]


@dataclasses.dataclass(frozen=True)
class TrainingNormals:
    """Training normals that a score is fitted on; each quantity is computed once, when it is needed.

    Attributes:
        posterior: () -> q(z | x) of all images as NumPy arrays [n, Z].
        score: name in `scores.COLUMNS` that needs no fit -> its values, float64 [n].
        scoring_config: the `scoring` group of the config.
        seed: seed of the run, for fits that draw random numbers.
    """

    posterior: Callable[[], Posterior]
    score: Callable[[str], np.ndarray]
    scoring_config: ml_collections.ConfigDict
    seed: int
