import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist, mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.mixture import GaussianMixture

from vae_jax.errors import UserError
from vae_jax.model.vae import Posterior
from vae_jax.scoring import latent

pytestmark = pytest.mark.usefixtures("quick_compilation")

FITS = {
    "mahalanobis": latent.fit_mahalanobis,
    "knn": latent.fit_knn,
    "gmm": latent.fit_gmm,
    "latent_statistics": latent.fit_latent_statistics,
}


def codes(count, seed, *, latent_dim=6, sampled=True):
    """Codes in two clusters, with different spreads and correlations of the dimensions."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(latent_dim, latent_dim))
    mu = rng.normal(size=(count, latent_dim)) @ mixing + 4 * rng.integers(0, 2, (count, 1))
    logvar = rng.normal(-2, 0.3, (count, latent_dim))
    return Posterior(mu.astype(np.float32), logvar.astype(np.float32) if sampled else None)


@pytest.fixture
def score(make_view, make_normals):
    """Returns a function that scores test codes after a fit on training codes."""

    def score(name, train, test):
        fits = jax.tree.map(jnp.asarray, {name: FITS[name](make_normals(train))})
        posterior = jax.tree.map(jnp.asarray, test)
        view = make_view(len(test.mu), posterior=posterior, fits=fits)
        return np.asarray(getattr(latent, name)(view))

    return score


def test_mahalanobis_distance_is_scipys_under_the_shrunk_covariance(score):
    train, test = codes(80, 0), codes(10, 1)
    inverse = np.linalg.inv(LedoitWolf().fit(train.mu.astype(np.float64)).covariance_)
    mean = train.mu.mean(axis=0)
    expected = [mahalanobis(mu, mean, inverse) for mu in test.mu]
    np.testing.assert_allclose(score("mahalanobis", train, test), expected, rtol=1e-4)


def test_knn_is_the_kth_smallest_of_all_distances(score, config):
    train, test = codes(80, 0), codes(10, 1)
    for k in (1, 5, 80):
        config.scoring.knn_k = k
        expected = np.sort(cdist(test.mu, train.mu), axis=1)[:, k - 1]
        np.testing.assert_allclose(score("knn", train, test), expected, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 7, 100, 101])
def test_the_kth_smallest_value_is_that_of_a_sort(count):
    values = np.random.default_rng(0).normal(size=(5, count)).astype(np.float32)
    order = np.argsort(values, axis=1)
    for k in {1, (count + 1) // 2, count}:
        np.testing.assert_array_equal(
            latent.find_kth_smallest(jnp.asarray(values), k), order[:, k - 1]
        )


def test_knn_measures_small_distances_far_from_the_origin(score, config):
    config.scoring.knn_k = 1
    train = Posterior(np.float32([[1000, 1000], [1001, 1000]]), None)
    test = Posterior(np.float32([[1000.125, 1000]]), None)
    np.testing.assert_allclose(score("knn", train, test), 0.125)


def test_gmm_agrees_with_the_negative_log_density_of_sklearn(score, config):
    config.scoring.gmm_components = 3
    train, test = codes(200, 0), codes(10, 1)
    mu = train.mu.astype(np.float64)
    ridge = 1e-3 * mu.var(axis=0).mean() + 1e-8
    mixture = GaussianMixture(3, reg_covar=ridge, random_state=config.seed).fit(mu)
    expected = -mixture.score_samples(test.mu.astype(np.float64))
    np.testing.assert_allclose(score("gmm", train, test), expected, rtol=1e-4, atol=1e-3)


def test_gmm_detects_a_code_between_two_clusters_and_mahalanobis_does_not(score, config):
    rng = np.random.default_rng(0)
    side = np.repeat([-5, 5], 100)[:, None]
    train = Posterior((rng.normal(size=(200, 2)) * 0.5 + side).astype(np.float32), None)
    test = Posterior(np.float32([[0, 0], [5, 5]]), None)
    config.scoring.gmm_components = 2
    gap, inside = score("gmm", train, test)
    assert gap > inside + 10
    gap, inside = score("mahalanobis", train, test)
    assert gap < inside


def test_latent_statistics_are_the_largest_of_five_z_scores(score):
    train, test = codes(80, 0), codes(10, 1)

    def by_hand(posterior):
        sigma = np.exp(posterior.logvar.astype(np.float64) / 2)
        mu = posterior.mu.astype(np.float64)
        return np.stack(
            [mu.mean(1), mu.std(1), np.sqrt((mu**2).sum(1)), sigma.mean(1), sigma.std(1)], axis=1
        )

    of_train, of_test = by_hand(train), by_hand(test)
    expected = np.abs((of_test - of_train.mean(axis=0)) / of_train.std(axis=0)).max(axis=1)
    np.testing.assert_allclose(score("latent_statistics", train, test), expected, rtol=1e-3)


def test_latent_statistics_score_high_and_low_values(score):
    """A code close to the origin and a narrow posterior are abnormal, too."""
    train = codes(200, 0)
    narrow = Posterior(train.mu, train.logvar - 3)
    usual = np.median(score("latent_statistics", train, codes(50, 1)))
    assert np.median(score("latent_statistics", train, narrow)) > 3 * usual
    constant = Posterior(np.full((1, 6), train.mu.mean(), np.float32), train.logvar[:1])
    assert score("latent_statistics", train, constant)[0] > usual


@pytest.mark.parametrize("name", FITS)
def test_the_score_of_an_autoencoder_is_finite(name, score):
    scores = score(name, codes(80, 0, sampled=False), codes(10, 1, sampled=False))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", FITS)
@pytest.mark.parametrize("collapsed", [4, 6])
def test_rounding_in_collapsed_dimensions_does_not_make_scores_large(name, collapsed, score):
    """Rounding errors in collapsed dimensions must not hide the other dimensions."""
    train, test = codes(80, 0), codes(20, 1)
    rng = np.random.default_rng(2)
    for posterior in (train, test):
        posterior.mu[:, :collapsed] = 0.25 + 1e-7 * rng.normal(size=(len(posterior.mu), collapsed))
    scores = score(name, train, test)
    assert np.isfinite(scores).all()
    limit = {"mahalanobis": 20, "knn": 20, "gmm": 60, "latent_statistics": 20}[name]
    assert (np.abs(scores) < limit).all()


@pytest.mark.parametrize("name", FITS)
def test_a_code_far_from_training_scores_higher(name, score):
    train = codes(80, 0)
    far = Posterior(codes(10, 1).mu + np.float32(50), codes(10, 1).logvar)
    assert score(name, train, far).min() > score(name, train, codes(10, 1)).max()


@pytest.mark.parametrize(
    ("name", "field"), [("knn", "scoring.knn_k"), ("gmm", "scoring.gmm_components")]
)
def test_more_neighbours_or_components_than_normals_are_refused(name, field, score):
    with pytest.raises(
        UserError,
        match=f"{field} is .*, but there are only 3 training normals; set it to at most 3",
    ):
        score(name, codes(3, 0), codes(2, 1))
