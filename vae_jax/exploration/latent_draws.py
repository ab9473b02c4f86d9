"""Draws codes from a density that was fitted to the codes of images.

The density is a mixture of Gaussians over many codes, or one Gaussian for the images of one class. Draws
from the prior are in `vae_jax/scoring/inference.py`.

N codes, n images, Z latent, K components.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from sklearn.mixture import GaussianMixture

from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError
from vae_jax.model.vae import Posterior
from vae_jax.scoring import latent

_MAX_CODES = 20_000  # limits the time of the fit; a random choice is taken from more codes


def fit_mixture(mu: Float[np.ndarray, "n Z"], num_components: int, seed: int) -> GaussianMixture:
    """Returns a mixture of Gaussians with full covariances, fitted to codes by EM.

    Args:
        mu: codes.
        num_components: number of components; the number of codes if that is smaller.
        seed: seed for the random choice of codes and for the start of EM.

    Raises:
        UserError: if there are fewer than two codes.

    Source: Ghosh et al. 2020, "From variational to deterministic autoencoders", section 4. A density that
    is fitted after training puts samples where the codes are, which the prior may fail to do.
    """
    if len(mu) < 2:
        raise UserError(
            f"a mixture of Gaussians needs at least two training images; found {len(mu)}; train on more "
            "images"
        )
    rows = draw_rows(len(mu), _MAX_CODES, seed, in_order=False)
    values = mu[rows].astype(np.float64)
    return latent.fit_mixture(values, min(num_components, len(values)), seed)


def draw_from_mixture(mixture: GaussianMixture, count: int, seed: int) -> Float[np.ndarray, "N Z"]:
    """Returns codes drawn from a mixture, in random order."""
    rng = np.random.default_rng((seed, count))
    component = rng.choice(len(mixture.weights_), count, p=mixture.weights_)
    roots = np.linalg.cholesky(mixture.covariances_)
    eps = rng.standard_normal((count, mixture.means_.shape[1]))
    return mixture.means_[component] + np.einsum("nij,nj->ni", roots[component], eps)


@dataclasses.dataclass(frozen=True)
class AggregatedPosterior:
    """The aggregated posterior of some images, approximated by one Gaussian N(mean, diag deviation^2)."""

    mean: Float[np.ndarray, "Z"]
    deviation: Float[np.ndarray, "Z"]


def aggregate_posteriors(posterior: Posterior) -> AggregatedPosterior:
    """Returns mean and standard deviation of the mixture of the images' posteriors.

    The variance is the variance of the posterior means plus the mean of the posterior variances. An
    autoencoder has no posterior variances, so only the first summand remains for it.
    """
    mu = posterior.mu.astype(np.float64)
    variance = mu.var(axis=0)
    if posterior.logvar is not None:
        variance = variance + np.exp(posterior.logvar.astype(np.float64)).mean(axis=0)
    return AggregatedPosterior(mu.mean(axis=0), np.sqrt(variance))


def draw_from_aggregated(
    aggregated: AggregatedPosterior, count: int, rng: np.random.Generator
) -> Float[np.ndarray, "N Z"]:
    """Returns codes z ~ N(mean, diag deviation^2)."""
    eps = rng.standard_normal((count, len(aggregated.mean)))
    return aggregated.mean + aggregated.deviation * eps
