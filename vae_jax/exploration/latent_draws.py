"""Codes to decode: from the prior, from a mixture over training codes, from the codes of one class.

N codes, n images, Z latent, K components.
"""

import dataclasses
import warnings

import numpy as np
from jaxtyping import Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from vae_jax.data.row_draw import draw_rows
from vae_jax.errors import UserError
from vae_jax.model.vae import Posterior

# Added to each component's covariance, as a share of the mean variance: a component of few images has no
# width of its own in most directions.
_RIDGE = 1e-3
_MOST = 20_000  # codes behind a mixture; drawn beyond that, which bounds the time of the fit


def fit_mixture(mu: Float[np.ndarray, "n Z"], num_components: int, seed: int) -> GaussianMixture:
    """Returns a mixture of Gaussians with full covariance, fitted by EM to codes.

    Args:
        mu: codes.
        num_components: as many as there are codes, where those are fewer.
        seed: of which codes are taken and where EM starts.

    Raises:
        UserError: if there are fewer than two codes.

    Source: Ghosh et al. 2020, "From variational to deterministic autoencoders", section 4: a density
    fitted after training samples where the codes lie, which the prior may not.
    """
    if len(mu) < 2:
        raise UserError(
            f"a mixture takes two codes, and the training images give {len(mu)}; train on more images"
        )
    rows = draw_rows(len(mu), _MOST, seed, in_order=False)
    values = mu[rows].astype(np.float64)
    ridge = _RIDGE * float(values.var(axis=0).mean()) + 1e-8
    components = min(num_components, len(values))
    mixture = GaussianMixture(components, reg_covar=ridge, random_state=seed)
    with warnings.catch_warnings():
        # A mixture that EM has not finished with is a density to sample from as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(values)


def from_mixture(mixture: GaussianMixture, count: int, seed: int) -> Float[np.ndarray, "N Z"]:
    """Returns codes drawn from a mixture, in random order."""
    rng = np.random.default_rng((seed, count))
    component = rng.choice(len(mixture.weights_), count, p=mixture.weights_)
    roots = np.linalg.cholesky(mixture.covariances_)
    eps = rng.standard_normal((count, mixture.means_.shape[1]))
    return mixture.means_[component] + np.einsum("nij,nj->ni", roots[component], eps)


@dataclasses.dataclass(frozen=True)
class Aggregate:
    """The aggregated posterior of some images as one Gaussian, N(mean, diag deviation^2)."""

    mean: Float[np.ndarray, "Z"]
    deviation: Float[np.ndarray, "Z"]


def aggregate(posterior: Posterior) -> Aggregate:
    """Returns mean and standard deviation of the mixture of the images' posteriors.

    The variance is that of the means plus the mean of the variances: the first alone, which an autoencoder
    has to do with, would leave out how far each image's own posterior reaches.
    """
    mu = posterior.mu.astype(np.float64)
    variance = mu.var(axis=0)
    if posterior.logvar is not None:
        variance = variance + np.exp(posterior.logvar.astype(np.float64)).mean(axis=0)
    return Aggregate(mu.mean(axis=0), np.sqrt(variance))


def from_aggregate(
    found: Aggregate, count: int, rng: np.random.Generator
) -> Float[np.ndarray, "N Z"]:
    """Returns z ~ N(mean, diag deviation^2)."""
    return found.mean + found.deviation * rng.standard_normal((count, len(found.mean)))
