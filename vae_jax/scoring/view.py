"""What a score can read: the view of a batch, and the training normals that a score is fitted on.

B batch, n training normals, H W pixels or cells, C channels, Z latent, L posterior samples.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Key

from vae_jax import noise
from vae_jax.model import importance
from vae_jax.model.objective import Terms
from vae_jax.model.vae import BoundModel, Posterior


@dataclasses.dataclass(frozen=True)
class View:
    """A batch, the outputs of one branch of the model, and everything else that a score may read.

    A view exists only while a scoring step is traced.

    Attributes:
        x: images in [0, 1], or another observation of the images.
        x_hat: reconstructions from the posterior mean, which need no random numbers.
        raw: outputs of the decoder for the posterior mean.
        sampled_raws: outputs of the decoder for `scoring.samples` posterior samples; None if it is 0.
        posterior: q(z | x).
        terms: terms of the negative ELBO, nats, from one posterior sample of the `eval` stream.
        x_hat_noisy: reconstructions, from the posterior mean, of the images with Gaussian noise added.
        bound: the model with its parameters and classes, for scores that compute more with it.
        keys: one key per image, for scores that draw random numbers; a score first folds its own number
            into them.
        scoring_config: the `scoring` group of the config.
        fits: name of a score -> its fit on training normals, from `fits.fit_scores`.
        host: name of a score -> its value of `scores.HOST_FEATURES`, one number per image.
        pooled: means of the deepest features over all places, and of their left half minus their right
            half; None if the model does not observe features.
        on_grid: whether x is a grid of cells and not an image.
    """

    x: Float[Array, "B H W C"]
    x_hat: Float[Array, "B H W C"]
    raw: Float[Array, "B H W P"]
    sampled_raws: Float[Array, "L B H W P"] | None
    posterior: Posterior
    terms: Terms
    x_hat_noisy: Float[Array, "B H W C"]
    bound: BoundModel
    keys: Key[Array, "B"]
    scoring_config: ml_collections.ConfigDict
    fits: dict[str, Any]
    host: dict[str, Float[Array, "B"]]
    pooled: Float[Array, "B 2 F"] | None = None
    on_grid: bool = False

    def compute_mean(self, raw: Float[Array, "B H W P"]) -> Float[Array, "B H W C"]:
        """Returns the reconstruction that the output of the decoder stands for."""
        return self.bound.model.mean(raw)

    def average_over_reconstructions(self, compute: Callable[[Array], Array]) -> Array:
        """Returns compute(output of the decoder), averaged over posterior samples if there are any.

        Args:
            compute: function of the output of the decoder.
        """
        if self.sampled_raws is None:
            return compute(self.raw)
        return jnp.mean(jax.lax.map(compute, self.sampled_raws), axis=0)

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


# Images whose residuals a fit reads; more would take much memory and change a covariance little.
MAX_RESIDUALS = 2_000


@dataclasses.dataclass(frozen=True)
class TrainingNormals:
    """Training normals that a score is fitted on; each quantity is computed once, when it is needed.

    Attributes:
        posterior: () -> q(z | x) of all images as NumPy arrays [n, Z].
        residuals: () -> observations minus reconstructions of at most `MAX_RESIDUALS` images.
        pooled: () -> `View.pooled` of all images; None if the model does not observe features.
        score: measure that needs no fit -> its values on the observation, float64 [n].
        scoring_config: the `scoring` group of the config.
        seed: seed of the run, for fits that draw random numbers.
    """

    posterior: Callable[[], Posterior]
    residuals: Callable[[], Float[np.ndarray, "m H W C"]]
    pooled: Callable[[], Float[np.ndarray, "n 2 F"] | None]
    score: Callable[[str], np.ndarray]
    scoring_config: ml_collections.ConfigDict
    seed: int
