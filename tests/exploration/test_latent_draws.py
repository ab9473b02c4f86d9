import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import latent_draws
from vae_jax.model.vae import Posterior
from vae_jax.scoring.inference import draw_prior


def test_draws_from_the_prior_are_standard_normal_and_keep_their_beginning(make_trained):
    model = make_trained(latent_dim=4).model
    z = draw_prior(model, 4000, seed=0)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(np.cov(z, rowvar=False), np.eye(4), atol=0.08)
    np.testing.assert_allclose(draw_prior(model, 10, seed=0), z[:10], rtol=1e-5, atol=1e-6)
    assert not np.allclose(draw_prior(model, 10, seed=1), z[:10])


def test_an_autoencoder_has_no_prior(make_trained):
    with pytest.raises(UserError, match="no prior"):
        draw_prior(make_trained(kind="ae").model, 3, seed=0)


def test_a_mixture_draws_where_the_codes_lie():
    rng = np.random.default_rng(0)
    spread = np.array([[1.0, 0.8], [0.0, 0.3]])
    known = np.concatenate(
        [rng.normal(size=(300, 2)) @ spread + 8, rng.normal(size=(100, 2)) * 0.5 - 8]
    )
    drawn = latent_draws.from_mixture(latent_draws.fit_mixture(known, 2, seed=0), 4000, seed=0)
    upper = drawn.sum(axis=1) > 0
    assert upper.mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(drawn[upper].mean(axis=0), known[:300].mean(axis=0), atol=0.1)
    np.testing.assert_allclose(
        np.cov(drawn[upper], rowvar=False), np.cov(known[:300], rowvar=False), atol=0.1
    )
    # In random order: the first half holds as many of either component as the second.
    assert upper[:2000].mean() == pytest.approx(upper[2000:].mean(), abs=0.06)


def test_a_mixture_has_no_more_components_than_codes():
    known = np.array([[0.0, 0], [9, 0], [0, 9], [9, 9]])
    mixture = latent_draws.fit_mixture(known, 10, seed=0)
    np.testing.assert_allclose(sorted(mixture.means_.tolist()), sorted(known.tolist()), atol=1e-6)


def test_one_code_makes_no_mixture():
    with pytest.raises(UserError, match="takes two codes, and the training images give 1"):
        latent_draws.fit_mixture(np.zeros((1, 2)), 10, seed=0)


def test_the_aggregated_posterior_has_the_moments_of_draws_from_all_posteriors():
    rng = np.random.default_rng(1)
    mu, logvar = rng.normal(size=(5, 3)) * 2, rng.normal(size=(5, 3))
    found = latent_draws.aggregate(Posterior(mu, logvar))
    image = rng.integers(5, size=200_000)
    draws = mu[image] + np.exp(0.5 * logvar[image]) * rng.normal(size=(len(image), 3))
    np.testing.assert_allclose(found.mean, draws.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(found.deviation, draws.std(axis=0), rtol=0.01)
    again = latent_draws.from_aggregate(found, 50_000, np.random.default_rng(2))
    np.testing.assert_allclose(again.mean(axis=0), found.mean, atol=0.05)
    np.testing.assert_allclose(again.std(axis=0), found.deviation, rtol=0.02)


def test_an_autoencoders_aggregate_rests_on_its_codes_alone():
    mu = np.random.default_rng(3).normal(size=(6, 2))
    np.testing.assert_allclose(
        latent_draws.aggregate(Posterior(mu, None)).deviation, mu.std(axis=0)
    )
