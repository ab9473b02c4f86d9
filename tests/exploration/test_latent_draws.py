import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import latent_draws
from vae_jax.model.vae import Posterior


def test_draws_from_a_mixture_have_the_moments_of_each_group_of_codes():
    rng = np.random.default_rng(0)
    shape = np.array([[1.0, 0.8], [0.0, 0.3]])
    upper_codes = rng.normal(size=(300, 2)) @ shape + 8
    lower_codes = rng.normal(size=(100, 2)) * 0.5 - 8
    mixture = latent_draws.fit_mixture(np.concatenate([upper_codes, lower_codes]), 2, seed=0)
    draws = latent_draws.draw_from_mixture(mixture, 4000, seed=0)
    is_upper = draws.sum(axis=1) > 0
    assert is_upper.mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(draws[is_upper].mean(axis=0), upper_codes.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(
        np.cov(draws[is_upper], rowvar=False), np.cov(upper_codes, rowvar=False), atol=0.1
    )
    # The order is random: each half of the draws has the same proportion of both components.
    assert is_upper[:2000].mean() == pytest.approx(is_upper[2000:].mean(), abs=0.06)


def test_a_mixture_has_no_more_components_than_codes():
    codes = np.array([[0.0, 0], [9, 0], [0, 9], [9, 9]])
    mixture = latent_draws.fit_mixture(codes, 10, seed=0)
    np.testing.assert_allclose(sorted(mixture.means_.tolist()), sorted(codes.tolist()), atol=1e-6)


def test_one_code_makes_no_mixture():
    with pytest.raises(UserError, match="at least two training images; found 1"):
        latent_draws.fit_mixture(np.zeros((1, 2)), 10, seed=0)


def test_the_aggregated_posterior_has_the_moments_of_draws_from_all_posteriors():
    rng = np.random.default_rng(1)
    mu, logvar = rng.normal(size=(5, 3)) * 2, rng.normal(size=(5, 3))
    aggregated = latent_draws.aggregate_posteriors(Posterior(mu, logvar))
    image = rng.integers(5, size=200_000)
    z = mu[image] + np.exp(0.5 * logvar[image]) * rng.normal(size=(len(image), 3))
    np.testing.assert_allclose(aggregated.mean, z.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(aggregated.deviation, z.std(axis=0), rtol=0.01)


def test_draws_from_an_aggregated_posterior_have_its_moments():
    aggregated = latent_draws.AggregatedPosterior(np.array([1.0, -2]), np.array([0.5, 3]))
    draws = latent_draws.draw_from_aggregated(aggregated, 50_000, np.random.default_rng(2))
    np.testing.assert_allclose(draws.mean(axis=0), aggregated.mean, atol=0.05)
    np.testing.assert_allclose(draws.std(axis=0), aggregated.deviation, rtol=0.02)


def test_the_aggregated_posterior_of_an_autoencoder_has_the_moments_of_its_codes():
    mu = np.random.default_rng(3).normal(size=(6, 2))
    aggregated = latent_draws.aggregate_posteriors(Posterior(mu, None))
    np.testing.assert_allclose(aggregated.mean, mu.mean(axis=0))
    np.testing.assert_allclose(aggregated.deviation, mu.std(axis=0))
