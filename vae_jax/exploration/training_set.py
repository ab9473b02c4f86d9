"""Training images in the latent space: their posteriors, and codes drawn from the density of these.

n training images, N codes, Z latent.
"""

import dataclasses

import numpy as np
from sklearn.mixture import GaussianMixture

from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.exploration.latent_draws import draw_from_mixture, fit_mixture
from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.model.vae import Posterior
from vae_jax.scoring.inference import draw_prior

_MAX_IMAGES = 20_000  # training images that are encoded; a random choice is taken from more images


@dataclasses.dataclass(frozen=True)
class EncodedTrainingSet:
    """Training images, their posteriors, and a density of their codes.

    Attributes:
        examples: training images.
        posterior: posterior of each of these images.
        mixture: mixture of Gaussians that was fitted to the codes of these images.
    """

    examples: Examples
    posterior: Posterior
    mixture: GaussianMixture

    def select_class(self, class_name: str) -> Posterior:
        """Returns the posteriors of the images of one class."""
        in_class = np.array(self.examples.classes) == class_name
        logvar = self.posterior.logvar
        return Posterior(self.posterior.mu[in_class], None if logvar is None else logvar[in_class])


def encode_training_set(trained: TrainedRun) -> EncodedTrainingSet:
    """Encodes the training images and fits the mixture of Gaussians to their codes.

    Raises:
        UserError: if there is only one training image.
    """
    config, train = trained.config, trained.dataset.train
    rows = draw_rows(len(train.images), _MAX_IMAGES, config.seed, in_order=True)
    examples = train.take(rows)
    posterior = trained.encode(examples.images, trained.index_classes(examples))
    mixture = fit_mixture(posterior.mu, config.explore.mixture_components, config.seed)
    return EncodedTrainingSet(examples, posterior, mixture)


def draw_codes(
    trained: TrainedRun, training_set: EncodedTrainingSet, count: int
) -> dict[str, np.ndarray]:
    """Returns `count` codes from each density: name of the density -> codes [N, Z].

    The prior comes first. An autoencoder has none, so only the mixture remains for it.
    """
    seed, mixture = trained.config.seed, training_set.mixture
    codes = {
        f"mixture of {mixture.n_components} over training codes": draw_from_mixture(
            mixture, count, seed
        )
    }
    if trained.model.sampled:
        codes = {"prior": draw_prior(trained.model, count, seed)} | codes
    return codes
