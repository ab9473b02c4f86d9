"""Compares the closed form with scikit-learn, SciPy, and the ELBO of the model itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA

from vae_jax.model import linear
from vae_jax.model.distributions import LIKELIHOODS, LOG_SIGMA_LIMITS, kl_to_standard_normal
from vae_jax.model.linear import (
    LinearDecoder,
    LinearEncoder,
    exact_log_likelihood,
    fit_probabilistic_pca,
)

pytestmark = pytest.mark.usefixtures("quick_compilation")

SHAPE = (2, 3, 4)
MANY, FEW = 60, 15  # more and fewer examples than the 24 values of one example


def draw_data(count, shape=SHAPE, seed=0):
    """Values with three strong directions, a mean and noise."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape))
    x = rng.standard_normal((count, 3)) @ rng.standard_normal((3, size)) * [1.5]
    x += rng.standard_normal(size) + 0.5 * rng.standard_normal((count, size))
    return x.reshape(count, *shape).astype(np.float32)


def encode(params, x):
    rank = len(params["encoder"]["logvar"])
    return LinearEncoder(rank).apply({"params": params["encoder"]}, jnp.asarray(x))


def decode(params, z):
    shape = params["decoder"]["mean"].shape
    return LinearDecoder(shape).apply({"params": params["decoder"]}, z)


def compute_elbo(params, x):
    """The ELBO of each example with the expectation of log p(x | z) in closed form, nats."""
    mu, logvar = encode(params, x)
    at_mean = LIKELIHOODS["normal"].log_prob(jnp.asarray(x), decode(params, mu), 1.0)
    lengths = jnp.sum(jnp.square(params["decoder"]["loadings"]), axis=0)
    spread = jnp.exp(logvar) @ lengths / jnp.exp(2 * params["decoder"]["log_sigma"])
    kl = jnp.sum(kl_to_standard_normal(mu, logvar), axis=1)
    return jnp.sum(at_mean, axis=(1, 2, 3)) - 0.5 * spread - kl


def fit_sklearn(x, rank):
    """scikit-learn's model with the variances of maximum likelihood, which divide by n and by D - rank."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    pca = PCA(rank, svd_solver="full").fit(flat)
    pca.explained_variance_ *= (len(x) - 1) / len(x)
    total = flat.var(axis=0).sum()
    pca.noise_variance_ = (total - pca.explained_variance_.sum()) / (flat.shape[1] - rank)
    return pca, flat


@pytest.mark.parametrize("count", [MANY, FEW])
@pytest.mark.parametrize("rank", [1, 3, 10])
def test_elbo_equals_the_log_likelihood(count, rank):
    x = draw_data(count)
    params = fit_probabilistic_pca(x, rank, seed=0)
    elbo, exact = compute_elbo(params, x), exact_log_likelihood(params, jnp.asarray(x))
    np.testing.assert_allclose(elbo, exact, rtol=1e-5, atol=1e-4)


def test_elbo_from_samples_of_the_posterior_equals_the_log_likelihood():
    x = draw_data(MANY)
    params = fit_probabilistic_pca(x, 3, seed=0)
    mu, logvar = encode(params, x[:1])
    eps = np.random.default_rng(0).standard_normal((40_000, 3)).astype(np.float32)
    z = mu + jnp.exp(0.5 * logvar) * eps
    repeated = jnp.broadcast_to(jnp.asarray(x[:1]), (len(z), *SHAPE))
    log_prob = LIKELIHOODS["normal"].log_prob(repeated, decode(params, z), 1.0)
    elbo = log_prob.sum(axis=(1, 2, 3)).mean() - kl_to_standard_normal(mu, logvar).sum()
    exact = exact_log_likelihood(params, jnp.asarray(x[:1]))[0]
    assert float(elbo) == pytest.approx(float(exact), abs=0.05)


@pytest.mark.parametrize("count", [MANY, FEW])
def test_log_likelihood_equals_those_of_scipy_and_sklearn(count):
    x, other = draw_data(count), draw_data(20, seed=1)
    params = fit_probabilistic_pca(x, 3, seed=0)
    pca, _ = fit_sklearn(x, 3)
    exact = exact_log_likelihood(params, jnp.asarray(other))
    flat = other.reshape(20, -1).astype(np.float64)
    np.testing.assert_allclose(exact, pca.score_samples(flat), rtol=1e-4)
    expected = stats.multivariate_normal(pca.mean_, pca.get_covariance()).logpdf(flat)
    np.testing.assert_allclose(exact, expected, rtol=1e-4)


@pytest.mark.parametrize("count", [MANY, FEW])
def test_reconstruction_is_that_of_pca_shrunk_towards_the_mean(count):
    x = draw_data(count)
    params = fit_probabilistic_pca(x, 3, seed=0)
    pca, flat = fit_sklearn(x, 3)
    shrinkage = 1 - pca.noise_variance_ / pca.explained_variance_
    expected = pca.inverse_transform(pca.transform(flat) * shrinkage).reshape(x.shape)
    actual = LIKELIHOODS["normal"].mean(decode(params, encode(params, x)[0]))
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_no_change_of_the_parameters_raises_the_elbo():
    x = draw_data(MANY)
    params = fit_probabilistic_pca(x, 3, seed=0)
    slope = jax.jit(jax.grad(lambda params: compute_elbo(params, x).mean()))
    at_fit = slope(jax.tree.map(jnp.asarray, params))
    elsewhere = slope(jax.tree.map(lambda p: 1.1 * jnp.asarray(p) + 0.05, params))
    for near, far in zip(jax.tree.leaves(at_fit), jax.tree.leaves(elsewhere), strict=True):
        assert float(jnp.abs(near).max()) < 1e-3
        assert float(jnp.abs(far).max()) > 0.05


@pytest.mark.parametrize(("count", "shape", "fitted"), [(5, SHAPE, 4), (30, (1, 2, 3), 5)])
def test_dimensions_that_the_data_cannot_determine_equal_the_prior(count, shape, fitted):
    x = draw_data(count, shape)
    params = fit_probabilistic_pca(x, 9, seed=0)
    assert params["decoder"]["loadings"].shape == (np.prod(shape), 9)
    mu, logvar = encode(params, draw_data(20, shape, seed=1))
    kl = kl_to_standard_normal(mu, logvar)
    np.testing.assert_array_equal(kl[:, fitted:], 0)
    assert (kl[:, : fitted - 1] > 0).all()
    expected = fit_probabilistic_pca(x, fitted, seed=0)
    np.testing.assert_array_equal(
        params["decoder"]["loadings"][:, :fitted], expected["decoder"]["loadings"]
    )
    exact = exact_log_likelihood(params, jnp.asarray(x))
    np.testing.assert_allclose(
        exact, exact_log_likelihood(expected, jnp.asarray(x)), rtol=1e-4, atol=1e-3
    )


@pytest.mark.parametrize("count", [1, FEW, MANY])
def test_constant_data_have_the_smallest_sigma_and_no_directions(count):
    x = np.full((count, *SHAPE), 0.3, np.float32)
    params = fit_probabilistic_pca(x, 4, seed=0)
    assert params["decoder"]["log_sigma"] == pytest.approx(LOG_SIGMA_LIMITS[0])
    np.testing.assert_array_equal(params["decoder"]["loadings"], 0)
    assert np.isfinite(exact_log_likelihood(params, jnp.asarray(x))).all()
    np.testing.assert_allclose(decode(params, encode(params, x)[0])[..., :4], x)


@pytest.mark.parametrize("count", [MANY, FEW])
def test_blocks_and_iteration_do_not_change_the_fit(monkeypatch, count):
    x = draw_data(count)
    expected = fit_probabilistic_pca(x, 3, seed=0)
    monkeypatch.setattr(linear, "_MAX_BLOCK", 100)
    monkeypatch.setattr(linear, "_MAX_DENSE", 1)
    actual = fit_probabilistic_pca(x, 3, seed=1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), actual, expected)


def test_initial_parameters_are_the_prior_and_have_the_shapes_of_the_fit():
    x = draw_data(FEW)
    encoder, decoder = LinearEncoder(3), LinearDecoder(SHAPE)
    (mu, logvar), of_encoder = encoder.init_with_output(jax.random.key(0), jnp.asarray(x))
    of_decoder = decoder.init(jax.random.key(0), mu)
    np.testing.assert_array_equal(kl_to_standard_normal(mu, logvar), 0)
    initial = {"encoder": of_encoder["params"], "decoder": of_decoder["params"]}
    fitted = fit_probabilistic_pca(x, 3, seed=0)
    shapes = [jax.tree.map(lambda p: (p.shape, str(p.dtype)), tree) for tree in (initial, fitted)]
    assert shapes[0] == shapes[1]
