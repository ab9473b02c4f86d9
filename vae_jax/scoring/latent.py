"""Scores of where an image lies in the latent space, against where training normals lie.

The fits run in float64 on the host; the scores are evaluated with the batch. A direction in which training
normals do not differ, as a collapsed dimension, is taken to have a standard deviation of `_FLOOR`:
deviations smaller than that are rounding, not images.

n training normals, B batch, Z latent, K components, S statistics.
"""

import math
import warnings
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from sklearn.covariance import LedoitWolf
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from vae_jax.errors import UserError
from vae_jax.model.vae import Posterior
from vae_jax.scoring.view import TrainingNormals, View

_FLOOR = 1e-4  # standard deviation, in units of the latent space, whose prior has 1
# Added to each component's covariance, as a share of the mean variance: a component of few images has no
# width of its own in most directions.
_GMM_RIDGE = 1e-3

_EXACT = jax.lax.Precision.HIGHEST  # TF32 would blur small distances on a GPU


@flax.struct.dataclass
class Gaussian:
    """Mean and whitening: (mu - mean) @ whiten has covariance 1 over training normals."""

    mean: Any  # float32 [Z]
    whiten: Any  # float32 [Z, Z]


def fit_mahalanobis(normals: TrainingNormals) -> Gaussian:
    """Returns the Gaussian of training mu, its covariance shrunk (Ledoit and Wolf 2004)."""
    mu = _training_mu(normals)
    variances, directions = np.linalg.eigh(LedoitWolf().fit(mu).covariance_)
    whiten = directions / np.sqrt(np.maximum(variances, _FLOOR**2))
    return Gaussian(mu.mean(axis=0).astype(np.float32), whiten.astype(np.float32))


def mahalanobis(view: View) -> Float[Array, "B"]:
    """Mahalanobis distance of mu from training normals, standard deviations. Cost: one encode, and the fit.

    sqrt((mu - m)^T S^-1 (mu - m)) with mean m and shrunk covariance S of training mu.
    Source: Lee, Lee, Lee and Shin 2018, with one class; shrinkage by Ledoit and Wolf 2004.
    """
    fitted = view.fits["mahalanobis"]
    whitened = jnp.matmul(view.posterior.mu - fitted.mean[None], fitted.whiten, precision=_EXACT)
    return jnp.linalg.norm(whitened, axis=1)


def fit_knn(normals: TrainingNormals) -> Float[np.ndarray, "n Z"]:
    """Returns training mu.

    Raises:
        UserError: if there are fewer than `scoring.knn_k`.
    """
    mu = normals.posterior().mu
    if len(mu) < normals.scoring_config.knn_k:
        raise UserError(
            f"scoring.knn_k is {normals.scoring_config.knn_k} and there are {len(mu)} training normals; "
            f"take at most {len(mu)}"
        )
    return mu


def knn(view: View) -> Float[Array, "B"]:
    """Distance of mu to its k-th nearest training normal, `scoring.knn_k`. Cost: one encode, and the fit.

    Euclidean, in units of the latent space.
    Source: Sun, Ming, Zhu and Li 2022, "Out-of-distribution detection with deep nearest neighbors",
    without their scaling to length 1: a VAE's prior gives distances a unit.
    """
    mu, known = view.posterior.mu, view.fits["knn"]
    # |a - b|^2 less |a|^2, which all share. It finds the neighbour; its distance is taken anew, because
    # the difference of large squares has lost it where it is small.
    partial = jnp.sum(jnp.square(known), axis=1)[None] - 2 * jnp.matmul(
        mu, known.T, precision=_EXACT
    )
    nearest = kth_least(partial, view.scoring_config.knn_k)
    return jnp.linalg.norm(mu - known[nearest], axis=1)


def kth_least(values: Float[Array, "B n"], k: int) -> Int[Array, "B"]:
    """Returns the place of the k-th least value of each row.

    The k least lie in the k groups with the least minima, so that only these are sorted: on a CPU, where
    `top_k` of a long row is slow, a twentieth of the time for 10,000 values.
    """
    batch, count = values.shape
    size = math.isqrt(count - 1) + 1
    num_groups = -(-count // size)
    padding = ((0, 0), (0, num_groups * size - count))
    groups = jnp.pad(values, padding, constant_values=jnp.inf).reshape(batch, num_groups, size)
    _, chosen = jax.lax.top_k(-jnp.min(groups, axis=2), min(k, num_groups))  # [B, k]
    few = jnp.take_along_axis(groups, chosen[:, :, None], axis=1).reshape(batch, -1)
    _, least = jax.lax.top_k(-few, k)
    last = least[:, -1]
    group = jnp.take_along_axis(chosen, last[:, None] // size, axis=1)[:, 0]
    return group * size + last % size


@flax.struct.dataclass
class Mixture:
    """Mixture of Gaussians; `whiten` of a component is the triangular root of its precision."""

    log_weights: Any  # float32 [K]
    means: Any  # float32 [K, Z]
    whiten: Any  # float32 [K, Z, Z]


def fit_gmm(normals: TrainingNormals) -> Mixture:
    """Returns a mixture of `scoring.gmm_components` Gaussians with full covariance, fitted by EM.

    Raises:
        UserError: if there are fewer training normals than components.
    """
    mu, components = _training_mu(normals), normals.scoring_config.gmm_components
    if len(mu) < components:
        raise UserError(
            f"scoring.gmm_components is {components} and there are {len(mu)} training normals; "
            f"take at most {len(mu)}"
        )
    ridge = _GMM_RIDGE * float(mu.var(axis=0).mean()) + _FLOOR**2
    mixture = GaussianMixture(components, reg_covar=ridge, random_state=normals.seed)
    with warnings.catch_warnings():
        # A mixture that EM has not finished with, or with two equal components, is a density as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(mu)
    parts = np.log(mixture.weights_), mixture.means_, mixture.precisions_cholesky_
    return Mixture(*(part.astype(np.float32) for part in parts))


def gmm(view: View) -> Float[Array, "B"]:
    """Negative log-density of mu under a mixture of Gaussians, nats. Cost: one encode, and the fit.

    -log sum_k w_k N(mu; m_k, S_k), `scoring.gmm_components` of them, fitted on training mu.
    Source: Zong et al. 2018 (DAGMM), the energy of equation 6, fitted after and not during training.
    """
    fitted, mu = view.fits["gmm"], view.posterior.mu
    centred = mu[:, None] - fitted.means[None]  # [B, K, Z]
    whitened = jnp.einsum("bkz,kzy->bky", centred, fitted.whiten, precision=_EXACT)
    half_log_det = jnp.sum(jnp.log(jnp.diagonal(fitted.whiten, axis1=1, axis2=2)), axis=1)
    log_prob = half_log_det[None] - 0.5 * (
        jnp.sum(jnp.square(whitened), axis=2) + mu.shape[1] * math.log(2 * math.pi)
    )
    return -jax.nn.logsumexp(fitted.log_weights[None] + log_prob, axis=1)


def statistics(posterior: Posterior) -> Float[Array, "B S"]:
    """Returns mean, standard deviation and norm of mu, and mean and standard deviation of sigma.

    Over latent dimensions; without those of sigma for an autoencoder.
    """
    mu = posterior.mu
    found = [jnp.mean(mu, axis=1), jnp.std(mu, axis=1), jnp.linalg.norm(mu, axis=1)]
    if posterior.logvar is not None:
        sigma = jnp.exp(0.5 * posterior.logvar)
        found += [jnp.mean(sigma, axis=1), jnp.std(sigma, axis=1)]
    return jnp.stack(found, axis=1)


def fit_latent_statistics(normals: TrainingNormals) -> dict[str, Float[np.ndarray, "S"]]:
    """Returns mean and standard deviation of each statistic over training normals."""
    found = np.asarray(statistics(normals.posterior()), np.float64)
    deviation = np.maximum(found.std(axis=0), _FLOOR)
    return {"mean": found.mean(axis=0, dtype=np.float32), "deviation": np.float32(deviation)}


def latent_statistics(view: View) -> Float[Array, "B"]:
    """How far out mu and sigma lie as a whole: the largest |z| of `statistics`. Cost: one encode and a fit.

    z in standard deviations of training normals. Both sides count: a code that is too near the origin, or
    surer than those of normal images, is abnormal too. The largest rather than the sum of squares, because
    norm and standard deviation of mu nearly agree and would count twice.
    """
    fitted = view.fits["latent_statistics"]
    z = (statistics(view.posterior) - fitted["mean"][None]) / fitted["deviation"][None]
    return jnp.max(jnp.abs(z), axis=1)


def _training_mu(normals: TrainingNormals) -> Float[np.ndarray, "n Z"]:
    return normals.posterior().mu.astype(np.float64)
