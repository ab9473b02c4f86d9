"""A linear-Gaussian model, whose likelihood is known: p(x) = N(x; b, W W' + sigma^2 I)."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import noise
from vae_jax.model import importance
from vae_jax.model.distributions import Likelihood
from vae_jax.model.objective import compute_terms
from vae_jax.model.vae import VAE, BoundModel

SIDE, PIXELS, LATENT, SIGMA, IMAGES = 2, 4, 3, 0.7, 300


class Affine(nn.Module):
    """Maps a flat vector or an image x to weight x + bias."""

    outputs: tuple[int, ...]

    @nn.compact
    def __call__(self, x, label=None):
        flat = x.reshape(len(x), -1)
        return nn.Dense(int(np.prod(self.outputs)))(flat).reshape(-1, *self.outputs)


class LinearEncoder(nn.Module):
    """mu is an affine function of x, and logvar the same for every x, as in the exact posterior."""

    @nn.compact
    def __call__(self, x, label=None):
        mu = Affine((LATENT,), name="mu")(x)
        logvar = self.param("logvar", nn.initializers.zeros, (LATENT,))
        return mu, jnp.broadcast_to(logvar, mu.shape)


class LinearVAE(VAE):
    """The model with a linear encoder and decoder, and a Gaussian whose mean is the raw output."""

    def setup(self):
        self.encoder = LinearEncoder()
        self.decoder = Affine((SIDE, SIDE, 1))

    @property
    def likelihood(self):
        def log_prob(x, raw, sigma):
            return jax.scipy.stats.norm.logpdf(x, raw, sigma)

        return Likelihood(log_prob, lambda raw: raw, lambda x: x, is_density=True)


MODEL = LinearVAE(SIDE, 1, (1,), 1, 0, LATENT, "relu", "gaussian", SIGMA)


def make_problem(orthogonal):
    """Parameters, images and their log-likelihoods; with orthogonal columns q is the exact posterior."""
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(PIXELS, LATENT)), rng.normal(size=PIXELS)
    if orthogonal:
        weight = np.linalg.qr(weight)[0]
    z = rng.normal(size=(IMAGES, LATENT))
    x = z @ weight.T + bias + SIGMA * rng.normal(size=(IMAGES, PIXELS))
    exact = stats.multivariate_normal.logpdf(x, bias, weight @ weight.T + SIGMA**2 * np.eye(PIXELS))
    precision = np.eye(LATENT) + weight.T @ weight / SIGMA**2
    to_mu = np.linalg.solve(precision, weight.T / SIGMA**2)
    dense = {"kernel": to_mu.T, "bias": -to_mu @ bias}
    params = {
        "encoder": {"mu": {"Dense_0": dense}, "logvar": -np.log(np.diag(precision))},
        "decoder": {"Dense_0": {"kernel": weight.T, "bias": bias}},
    }
    return jax.tree.map(jnp.float32, params), jnp.float32(x).reshape(-1, SIDE, SIDE, 1), exact


def eval_keys(step):
    return noise.example_keys(noise.stream_key(0, "eval"), step, jnp.arange(IMAGES))


@jax.jit
def elbo(params, x, keys):
    bound = BoundModel(MODEL, params)
    posterior = bound.encode(x)
    z = posterior.sample(noise.draw_normal(keys, LATENT))
    return -compute_terms(MODEL, x, posterior, bound.decode(z)).negative_elbo


def elbos(params, x, num_draws):
    """The ELBO of each image, averaged over posterior samples."""
    return np.mean([elbo(params, x, eval_keys(draw)) for draw in range(num_draws)], axis=0)


@functools.partial(jax.jit, static_argnums=3)
def estimate(params, x, keys, num_samples):
    bound = BoundModel(MODEL, params)
    return importance.log_likelihood(bound, x, bound.encode(x), keys, num_samples)


def importance_weighted(params, x, num_samples, step=0):
    return np.asarray(estimate(params, x, eval_keys(step), num_samples))


def test_elbo_stays_below_the_exact_likelihood():
    params, x, exact = make_problem(orthogonal=False)
    elbo_of_images = elbos(params, x, 40)
    # The gap is KL(q || posterior), the same for every image here. Single estimates have some variance.
    assert elbo_of_images.mean() < exact.mean() - 0.05
    assert (elbo_of_images < exact + 1.0).all()


def test_elbo_is_the_exact_likelihood_where_q_is_the_posterior():
    params, x, exact = make_problem(orthogonal=True)
    np.testing.assert_allclose(importance_weighted(params, x, 1), exact, atol=1e-3)
    assert elbos(params, x, 200).mean() == pytest.approx(exact.mean(), abs=0.02)


def test_importance_weighted_bound_rises_with_k_and_approaches_the_exact_likelihood():
    params, x, exact = make_problem(orthogonal=False)
    gaps = [
        np.mean([(exact - importance_weighted(params, x, k, s)).mean() for s in range(4)])
        for k in (1, 4, 16, 64)
    ]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.05
    assert gaps[-1] > -0.005
    np.testing.assert_allclose(importance_weighted(params, x, 4000).mean(), exact.mean(), atol=0.03)


def test_one_sample_estimates_the_elbo():
    params, x, _ = make_problem(orthogonal=False)
    ones = np.mean([importance_weighted(params, x, 1, s).mean() for s in range(40)])
    assert ones == pytest.approx(elbos(params, x, 40).mean(), abs=0.03)


def test_one_sample_at_a_time_equals_all_samples_at_once():
    params, x, _ = make_problem(orthogonal=False)
    bound = BoundModel(MODEL, params)
    x, posterior, keys = x[:5], bound.encode(x[:5]), eval_keys(0)[:5]
    weights = []
    for k in range(7):
        eps = noise.draw_normal(jax.vmap(lambda key, k=k: jax.random.fold_in(key, k))(keys), LATENT)
        z = np.asarray(posterior.sample(eps), np.float64)
        q = stats.norm.logpdf(z, posterior.mu, np.exp(0.5 * np.asarray(posterior.logvar)))
        raw = np.asarray(bound.decode(jnp.float32(z)))
        p = stats.norm.logpdf(x, raw, SIGMA).sum(axis=(1, 2, 3))
        weights.append(p + stats.norm.logpdf(z).sum(axis=1) - q.sum(axis=1))
    expected = np.log(np.mean(np.exp(weights), axis=0))
    actual = importance.log_likelihood(bound, x, posterior, keys, 7)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
