"""The linear-Gaussian VAE, fitted in closed form: probabilistic PCA.

The model is z ~ N(0, I) and x | z ~ N(W z + mean, sigma^2 I). Its posterior is known, so its ELBO equals
the log-likelihood. The eigenvalues lambda_k and eigenvectors u_k of the covariance of the data give the
parameters of maximum likelihood:

    W = U (Lambda - sigma^2 I)^(1/2),    sigma^2 = mean of the other eigenvalues,
    q(z_k | x) = N( sqrt(lambda_k - sigma^2) / lambda_k  u_k . (x - mean),  sigma^2 / lambda_k ).

The source allows any rotation of z; here there is none, so that the posterior covariance is diagonal.

Names and shapes: x data [B, h, w, K], D = h w K the number of values in one example, n the number of
training examples, z [B, Z]; W [D, Z] the loadings. Everything is float32 except the fit, which computes in
float64.

Source: Tipping and Bishop 1999, "Probabilistic principal component analysis".
"""

import math
from collections.abc import Iterator, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from jax import lax
from jaxtyping import Array, Float

from vae_jax.model.distributions import LOG_SIGMA_LIMITS

_MAX_BLOCK = 8_000_000  # numbers of a block of the data in float64: 64 MB
# Above this size the leading eigenvectors are found by iteration, which is then faster than all of them.
_MAX_DENSE = 1500


def _multiply(a, b):
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)


class LinearEncoder(nn.Module):
    """The exact posterior of the linear-Gaussian model; its parameters come from `fit_probabilistic_pca`.

    Initial parameters are zeros, so that the posterior is the prior.

    Attributes:
        latent_dim: number of latent dimensions Z.
    """

    latent_dim: int

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w K"], label: Float[Array, "B L"] | None = None
    ) -> tuple[Float[Array, "B Z"], Float[Array, "B Z"]]:
        """Returns mu and logvar; a label is not used."""
        del label
        mean = self.param("mean", nn.initializers.zeros, x.shape[1:], jnp.float32)
        shape = (mean.size, self.latent_dim)
        kernel = self.param("kernel", nn.initializers.zeros, shape, jnp.float32)
        logvar = self.param("logvar", nn.initializers.zeros, (self.latent_dim,), jnp.float32)
        residual = (x.astype(jnp.float32) - mean[None]).reshape(len(x), -1)
        return _multiply(residual, kernel), jnp.broadcast_to(logvar, (len(x), self.latent_dim))


class LinearDecoder(nn.Module):
    """W z + mean, and one standard deviation for all values, as the likelihood `normal` expects them.

    Initial parameters are zeros, so that every value is N(0, 1).

    Attributes:
        shape: height h, width w and channels K of the data.
    """

    shape: Sequence[int]

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], label: Float[Array, "B L"] | None = None
    ) -> Float[Array, "B h w P"]:
        """Returns [mean, log sigma] on the last axis, P = 2 K; a label is not used."""
        del label
        mean = self.param("mean", nn.initializers.zeros, tuple(self.shape), jnp.float32)
        shape = (mean.size, z.shape[1])
        loadings = self.param("loadings", nn.initializers.zeros, shape, jnp.float32)
        log_sigma = self.param("log_sigma", nn.initializers.zeros, (), jnp.float32)
        x_hat = _multiply(z, loadings.T).reshape(z.shape[0], *self.shape) + mean[None]
        return jnp.concatenate([x_hat, jnp.broadcast_to(log_sigma, x_hat.shape)], axis=3)


def exact_log_likelihood(params: dict, x: Float[Array, "B h w K"]) -> Float[Array, "B"]:
    """Returns log N(x; mean, W W^T + sigma^2 I) of each example, nats.

    The quadratic form is |x - mean - W m|^2 / sigma^2 + |m|^2 with m the posterior mean. The determinant is
    that of the Z x Z matrix M = W^T W + sigma^2 I times sigma^(2 (D - Z)). No D x D matrix is needed.

    Args:
        params: parameters of the model; only those of its decoder are used.
        x: data.
    """
    mean, loadings, log_sigma = (
        jnp.asarray(params["decoder"][name]) for name in ("mean", "loadings", "log_sigma")
    )
    size, latent_dim = loadings.shape
    variance = jnp.exp(2 * log_sigma)
    inner = _multiply(loadings.T, loadings) + variance * jnp.eye(latent_dim, dtype=jnp.float32)
    factor = jnp.linalg.cholesky(inner)
    residual = (x.astype(jnp.float32) - mean[None]).reshape(len(x), -1)
    mu = jax.scipy.linalg.cho_solve((factor, True), _multiply(residual, loadings).T).T
    error = jnp.sum(jnp.square(residual - _multiply(mu, loadings.T)), axis=1)
    quadratic = error / variance + jnp.sum(jnp.square(mu), axis=1)
    log_determinant = 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
    log_determinant += 2 * (size - latent_dim) * log_sigma
    return -0.5 * (quadratic + log_determinant + size * math.log(2 * math.pi))


def fit_probabilistic_pca(x: Float[np.ndarray, "n h w K"], rank: int, seed: int) -> dict:
    """Returns the parameters of `LinearEncoder` and `LinearDecoder` that make the data most likely.

    At most n - 1 and at most D - 1 latent dimensions can be fitted. The others have no loadings, and their
    posterior is the prior, so that the shapes depend on `rank` alone. Sigma is at least the smallest value
    that the likelihood `normal` accepts; constant data have this sigma.

    Args:
        x: training data.
        rank: number of latent dimensions Z.
        seed: seed of the iteration that finds eigenvectors of large matrices; the result hardly depends on
            it.

    Returns:
        {"encoder": parameters of the encoder, "decoder": parameters of the decoder}, float32.
    """
    count, shape = len(x), x.shape[1:]
    flat = x.reshape(count, -1)
    size = flat.shape[1]
    mean = flat.mean(axis=0, dtype=np.float64)
    fitted = min(rank, count - 1, size - 1)
    eigenvalues, directions, total = _find_leading_directions(flat, mean, fitted, seed)
    smallest = math.exp(2 * LOG_SIGMA_LIMITS[0])
    variance = max((total - eigenvalues.sum()) / (size - fitted), smallest)
    eigenvalues = np.maximum(eigenvalues, variance)
    roots = np.sqrt(eigenvalues - variance)

    def pad_latent(values):
        missing = rank - fitted
        return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)]).astype(np.float32)

    mean = mean.reshape(shape).astype(np.float32)
    encoder = {
        "mean": mean,
        "kernel": pad_latent(directions * (roots / eigenvalues)),
        "logvar": pad_latent(np.log(variance / eigenvalues)),
    }
    decoder = {
        "mean": mean,
        "loadings": pad_latent(directions * roots),
        "log_sigma": np.float32(0.5 * math.log(variance)),
    }
    return {"encoder": encoder, "decoder": decoder}


def _find_leading_directions(flat, mean, count: int, seed: int):
    """Returns the largest eigenvalues [count] of the covariance, their eigenvectors [D, count], its trace.

    The eigenvectors come from the smaller of two matrices, D x D or n x n, which have the same eigenvalues.
    """
    examples, size = flat.shape
    by_columns = size > examples
    scatter = np.zeros((min(flat.shape),) * 2)
    for _, block in _centre_blocks(flat, mean, by_columns):
        scatter += block @ block.T if by_columns else block.T @ block
    eigenvalues, vectors = _find_eigenvectors(scatter, count, seed)
    directions = vectors
    if by_columns:
        directions = np.empty((size, count))
        for part, block in _centre_blocks(flat, mean, by_columns):
            directions[part] = block.T @ vectors
        # A direction of variance 0 has no length and gets no loadings.
        directions /= np.maximum(np.sqrt(eigenvalues), 1e-30)
    if count:  # an eigenvector has no sign of its own: its largest number shall be positive
        largest = np.abs(directions).argmax(axis=0)
        signs = np.sign(directions[largest, np.arange(count)])
        directions = directions * np.where(signs == 0, 1, signs)
    return eigenvalues / examples, directions, np.trace(scatter) / examples


def _centre_blocks(flat, mean, by_columns: bool) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields parts of the data minus the mean, float64, as blocks of columns or of rows."""
    length, width = flat.shape[::-1] if by_columns else flat.shape
    step = max(1, _MAX_BLOCK // width)
    for start in range(0, length, step):
        part = slice(start, start + step)
        yield part, (flat[:, part] - mean[part] if by_columns else flat[part] - mean)


def _find_eigenvectors(matrix, count: int, seed: int):
    """Returns the largest eigenvalues [count] in falling order, at least 0, and their eigenvectors."""
    size = len(matrix)
    if not count:
        return np.zeros(0), np.zeros((size, 0))
    if size <= _MAX_DENSE or count > size // 4:
        values, vectors = scipy.linalg.eigh(matrix, subset_by_index=[size - count, size - 1])
    else:
        start = np.random.default_rng(seed).standard_normal(size)
        values, vectors = scipy.sparse.linalg.eigsh(matrix, count, v0=start)
    order = np.argsort(-values)
    return np.maximum(values[order], 0.0), vectors[:, order]
