import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax.model.distributions import LIKELIHOODS, kl_to_standard_normal


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (3, 4, 4, 2)).astype(np.float32)
    raw = rng.normal(0, 2, (3, 4, 4, 2)).astype(np.float32)
    return x, raw


def test_kl_against_monte_carlo():
    rng = np.random.default_rng(0)
    mu, logvar = np.float32([[0.3, -1.2]]), np.float32([[-0.7, 0.4]])
    sigma = np.exp(0.5 * logvar)
    z = mu + sigma * rng.standard_normal((400_000, 2))
    estimate = (stats.norm.logpdf(z, mu, sigma) - stats.norm.logpdf(z)).mean(axis=0)
    found = kl_to_standard_normal(jnp.asarray(mu), jnp.asarray(logvar))[0]
    np.testing.assert_allclose(found, estimate, atol=0.01)


def test_kl_is_zero_at_the_prior_alone():
    zero = jnp.zeros((1, 3))
    np.testing.assert_array_equal(kl_to_standard_normal(zero, zero), zero)
    assert (kl_to_standard_normal(zero + 0.1, zero) > 0).all()


def test_bernoulli_against_scipy(pixels):
    _, raw = pixels
    x = np.float32(np.random.default_rng(1).integers(0, 2, raw.shape))
    found = LIKELIHOODS["bernoulli"].log_prob(x, jnp.asarray(raw), 1.0)
    expected = stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-raw.astype(np.float64))))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_gaussian_against_scipy(pixels):
    x, raw = pixels
    found = LIKELIHOODS["gaussian"].log_prob(x, jnp.asarray(raw), 0.3)
    expected = stats.norm.logpdf(x, 1 / (1 + np.exp(-raw.astype(np.float64))), 0.3)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_and_gradient_are_finite_far_out(name):
    raw = jnp.asarray([[[[-200.0], [0.0], [200.0]]]])
    for x in (0.0, 0.5, 1.0):

        def total(raw, x=x):
            return LIKELIHOODS[name].log_prob(jnp.full_like(raw, x), raw, 0.1).sum()

        value, gradient = jax.value_and_grad(total)(raw)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_mean_maximises_the_likelihood(name):
    likelihood = LIKELIHOODS[name]
    raw = jnp.linspace(-3, 3, 601).reshape(1, -1, 1, 1)
    x = likelihood.mean(raw)[:, 400:401]
    log_prob = likelihood.log_prob(jnp.broadcast_to(x, raw.shape), raw, 0.1)
    assert int(jnp.argmax(log_prob)) == 400
