"""Scores that compare the position of an image in latent space with the positions of training normals.

The fits are computed in float64 on the host, the scores with each batch on the device. In a direction in
which training normals do not differ, for example a collapsed dimension, the standard deviation is set to
`_MIN_DEVIATION`, because smaller deviations are rounding errors.

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

_MIN_DEVIATION = 1e-4  # in units of the latent space, in which the prior has standard deviation 1
# Share of the mean variance that is added to the covariance of each component, because a component of few
# images has no width in most directions.
_RIDGE = 1e-3

_EXACT = jax.lax.Precision.HIGHEST  # on a GPU, TF32 would round small distances away


@flax.struct.dataclass
class Gaussian:
    """Mean and whitening matrix: (mu - mean) @ whiten has covariance 1 over training normals."""

    mean: Any  # float32 [Z]
    whiten: Any  # float32 [Z, Z]


def fit_mahalanobis(normals: TrainingNormals) -> Gaussian:
    """Fits a Gaussian to the mu of training normals, with a shrunk covariance (Ledoit and Wolf 2004)."""
    mu = _compute_training_mu(normals)
    variances, directions = np.linalg.eigh(LedoitWolf().fit(mu).covariance_)
    whiten = directions / np.sqrt(np.maximum(variances, _MIN_DEVIATION**2))
    return Gaussian(mu.mean(axis=0).astype(np.float32), whiten.astype(np.float32))


def mahalanobis(view: View) -> Float[Array, "B"]:
    """Mahalanobis distance of mu from training normals, standard deviations. Cost: one encode, and the fit.

    sqrt((mu - m)^T S^-1 (mu - m)) with mean m and shrunk covariance S of the training mu.
    Source: Lee, Lee, Lee and Shin 2018, with one class; shrinkage by Ledoit and Wolf 2004.
    """
    gaussian = view.fits["mahalanobis"]
    centred = view.posterior.mu - gaussian.mean[None]
    whitened = jnp.matmul(centred, gaussian.whiten, precision=_EXACT)
    return jnp.linalg.norm(whitened, axis=1)


def fit_knn(normals: TrainingNormals) -> Float[np.ndarray, "n Z"]:
    """Returns the mu of the training normals.

    Raises:
        UserError: if there are fewer training normals than `scoring.knn_k`.
    """
    mu = normals.posterior().mu
    if len(mu) < normals.scoring_config.knn_k:
        raise UserError(
            f"scoring.knn_k is {normals.scoring_config.knn_k}, but there are only {len(mu)} training "
            f"normals; set it to at most {len(mu)}"
        )
    return mu


def knn(view: View) -> Float[Array, "B"]:
    """Distance of mu to the k-th nearest mu of training normals. Cost: one encode, and the fit.

    Euclidean distance in units of the latent space; k is `scoring.knn_k`.
    Source: Sun, Ming, Zhu and Li 2022, "Out-of-distribution detection with deep nearest neighbors",
    without their scaling to length 1, because the prior of a VAE gives distances a unit.
    """
    mu, train_mu = view.posterior.mu, view.fits["knn"]
    # |a - b|^2 - |a|^2 gives the order of the neighbours. The distance itself is computed again, because a
    # small distance is lost in the difference of large squares.
    partial = jnp.sum(jnp.square(train_mu), axis=1)[None] - 2 * jnp.matmul(
        mu, train_mu.T, precision=_EXACT
    )
    neighbour = find_kth_smallest(partial, view.scoring_config.knn_k)
    return jnp.linalg.norm(mu - train_mu[neighbour], axis=1)


def find_kth_smallest(values: Float[Array, "B n"], k: int) -> Int[Array, "B"]:
    """Finds the index of the k-th smallest value of each row.

    The k smallest values are in the k groups with the smallest minima, so only these groups are sorted. On
    a CPU, where `top_k` of a long row is slow, this takes a twentieth of the time for 10,000 values.
    """
    batch, count = values.shape
    size = math.isqrt(count - 1) + 1
    num_groups = -(-count // size)
    # The converter to ONNX knows neither padding nor remainders of an unknown number of rows.
    padding = jnp.full((batch, num_groups * size - count), jnp.inf, values.dtype)
    groups = jnp.concatenate([values, padding], axis=1).reshape(batch, num_groups, size)
    _, best_groups = jax.lax.top_k(-jnp.min(groups, axis=2), min(k, num_groups))  # [B, k]
    candidates = jnp.take_along_axis(groups, best_groups[:, :, None], axis=1).reshape(batch, -1)
    _, smallest = jax.lax.top_k(-candidates, k)
    kth = smallest[:, -1]
    row = jax.lax.div(kth, np.int32(size))
    group = jnp.take_along_axis(best_groups, row[:, None], axis=1)[:, 0]
    return group * size + kth - row * size


@flax.struct.dataclass
class Mixture:
    """Mixture of Gaussians; `whiten` of a component is the triangular square root of its precision."""

    log_weights: Any  # float32 [K]
    means: Any  # float32 [K, Z]
    whiten: Any  # float32 [K, Z, Z]


def fit_gmm(normals: TrainingNormals) -> Mixture:
    """Fits a mixture of `scoring.gmm_components` Gaussians with full covariance, by EM.

    Raises:
        UserError: if there are fewer training normals than components.
    """
    mu, components = _compute_training_mu(normals), normals.scoring_config.gmm_components
    if len(mu) < components:
        raise UserError(
            f"scoring.gmm_components is {components}, but there are only {len(mu)} training normals; set "
            f"it to at most {len(mu)}"
        )
    mixture = fit_mixture(mu, components, normals.seed)
    arrays = np.log(mixture.weights_), mixture.means_, mixture.precisions_cholesky_
    return Mixture(*(array.astype(np.float32) for array in arrays))


def fit_mixture(mu: Float[np.ndarray, "n Z"], num_components: int, seed: int) -> GaussianMixture:
    """Fits a mixture of Gaussians with full covariance to codes, by EM.

    Args:
        mu: codes, float64.
        num_components: number of components, at most the number of codes.
        seed: seed for the start of EM.
    """
    ridge = _RIDGE * float(mu.var(axis=0).mean()) + _MIN_DEVIATION**2
    mixture = GaussianMixture(num_components, reg_covar=ridge, random_state=seed)
    with warnings.catch_warnings():
        # A mixture is a valid density even if EM has not converged or two components are equal.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(mu)


def gmm(view: View) -> Float[Array, "B"]:
    """Negative log-density of mu under a mixture of Gaussians, nats. Cost: one encode, and the fit.

    -log sum_k w_k N(mu; m_k, S_k) with `scoring.gmm_components` components, fitted to the mu of training
    normals.
    Source: Zong et al. 2018 (DAGMM), the energy of equation 6, but fitted after training and not during it.
    """
    mixture, mu = view.fits["gmm"], view.posterior.mu
    centred = mu[:, None] - mixture.means[None]  # [B, K, Z]
    whitened = jnp.einsum("bkz,kzy->bky", centred, mixture.whiten, precision=_EXACT)
    half_log_det = jnp.sum(jnp.log(jnp.diagonal(mixture.whiten, axis1=1, axis2=2)), axis=1)
    log_prob = half_log_det[None] - 0.5 * (
        jnp.sum(jnp.square(whitened), axis=2) + mu.shape[1] * math.log(2 * math.pi)
    )
    return -jax.nn.logsumexp(mixture.log_weights[None] + log_prob, axis=1)


def compute_statistics(posterior: Posterior) -> Float[Array, "B S"]:
    """Computes five statistics over the latent dimensions of each image.

    They are the mean, the standard deviation and the norm of mu, and the mean and the standard deviation
    of sigma. An autoencoder has only the first three.
    """
    mu = posterior.mu
    statistics = [jnp.mean(mu, axis=1), jnp.std(mu, axis=1), jnp.linalg.norm(mu, axis=1)]
    if posterior.logvar is not None:
        sigma = jnp.exp(0.5 * posterior.logvar)
        statistics += [jnp.mean(sigma, axis=1), jnp.std(sigma, axis=1)]
    return jnp.stack(statistics, axis=1)


def fit_latent_statistics(normals: TrainingNormals) -> dict[str, Float[np.ndarray, "S"]]:
    """Fits the mean and the standard deviation of each statistic over training normals."""
    statistics = np.asarray(compute_statistics(normals.posterior()), np.float64)
    deviation = np.maximum(statistics.std(axis=0), _MIN_DEVIATION)
    return {"mean": statistics.mean(axis=0, dtype=np.float32), "deviation": np.float32(deviation)}


def latent_statistics(view: View) -> Float[Array, "B"]:
    """Largest deviation of statistics of mu and sigma from training normals. Cost: one encode, and the fit.

    The deviations are in standard deviations of training normals, and both directions count: a code that
    is too close to the origin, or a posterior that is too narrow, is abnormal, too. The score is the
    largest deviation and not the sum of squares, because the norm and the standard deviation of mu nearly
    agree and would count twice.
    """
    fit = view.fits["latent_statistics"]
    z = (compute_statistics(view.posterior) - fit["mean"][None]) / fit["deviation"][None]
    return jnp.max(jnp.abs(z), axis=1)


def _compute_training_mu(normals: TrainingNormals) -> Float[np.ndarray, "n Z"]:
    return normals.posterior().mu.astype(np.float64)
