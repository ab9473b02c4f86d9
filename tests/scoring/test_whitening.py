import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from vae_jax.errors import UserError
from vae_jax.scoring import whitening


def make_vectors(count, size, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(size, size)) / np.sqrt(size)
    return rng.normal(size=(count, size)) @ mixing + rng.normal(size=size)


def measure(vectors, mean, whiten):
    return np.square((vectors - mean) @ whiten).sum(axis=1)


@pytest.mark.parametrize(("count", "size"), [(3, 5), (7, 1), (20, 40), (300, 12)])
def test_squared_lengths_are_the_mahalanobis_distances_of_sklearn(count, size):
    vectors, others = make_vectors(count, size), make_vectors(9, size, seed=1)
    mean, whiten = whitening.fit_whitening(vectors)
    reference = LedoitWolf().fit(vectors)
    np.testing.assert_allclose(mean, reference.location_)
    expected = reference.mahalanobis(others)
    np.testing.assert_allclose(measure(others, mean, whiten), expected, rtol=1e-6)


def test_the_covariance_is_that_of_sklearn_when_vectors_are_uncorrelated():
    vectors = np.random.default_rng(0).normal(size=(10, 30))  # it is shrunk nearly to the identity
    _, whiten = whitening.fit_whitening(vectors)
    inverse = np.linalg.inv(LedoitWolf().fit(vectors).covariance_)
    np.testing.assert_allclose(whiten @ whiten.T, inverse, rtol=1e-8, atol=1e-10)


def test_no_direction_has_a_smaller_deviation_than_the_limit():
    vectors = make_vectors(4000, 3)
    vectors[:, 2] = vectors[:, 0] + 1e-4 * vectors[:, 2]
    _, whiten = whitening.fit_whitening(vectors)
    variances = 1 / np.linalg.eigvalsh(whiten @ whiten.T)
    assert variances.min() == pytest.approx(0.03**2)
    shrunk = np.linalg.eigvalsh(LedoitWolf().fit(vectors).covariance_)
    np.testing.assert_allclose(np.sort(variances)[1:], shrunk[1:], rtol=1e-6)


def test_the_limit_changes_nothing_where_all_variances_are_above_it(monkeypatch):
    vectors, others = make_vectors(30, 20), make_vectors(9, 20, seed=1)
    by_factor = measure(others, *whitening.fit_whitening(vectors))
    monkeypatch.setattr(whitening, "_shrink_covariance", forget_bound(whitening._shrink_covariance))
    by_directions = measure(others, *whitening.fit_whitening(vectors))
    np.testing.assert_allclose(by_factor, by_directions, rtol=1e-8)


def forget_bound(shrink):
    """The same estimate without the lower bound of its variances, so that all directions are computed."""
    return lambda centred: (shrink(centred)[0], 0.0)


def test_equal_vectors_give_a_finite_whitening():
    mean, whiten = whitening.fit_whitening(np.full((5, 4), 2.0))
    assert np.isfinite(whiten).all()
    np.testing.assert_allclose(measure(np.full((1, 4), 2.0), mean, whiten), 0)


def test_one_vector_is_refused():
    with pytest.raises(UserError, match="at least two training normals, but there are 1"):
        whitening.fit_whitening(np.zeros((1, 3)))
