import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from vae_jax.errors import UserError
from vae_jax.scoring import place_gaussian


def make_observations(count, seed, *, height=2, width=3, channels=5):
    """Observations whose channels depend on each other, differently at each place."""
    shape = (height, width, channels)
    mixing = np.random.default_rng(9).normal(size=(*shape, channels)) / np.sqrt(channels)
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    return np.einsum("nhwk,hwkl->nhwl", noise, mixing).astype(np.float32)


def measure(train, test):
    gaussian = jax.tree.map(jnp.asarray, place_gaussian.fit_place_gaussian(train))
    distances = jax.jit(place_gaussian.measure_place_distances)(gaussian, jnp.asarray(test))
    return np.asarray(distances)


@pytest.mark.parametrize("count", [3, 4, 60])
def test_the_distance_is_scipys_under_the_covariance_of_sklearn(count):
    train, test = make_observations(count, 0), make_observations(4, 1)
    distances = measure(train, test)
    for i, j in np.ndindex(2, 3):
        vectors = train[:, i, j].astype(np.float64)
        inverse = np.linalg.inv(LedoitWolf().fit(vectors).covariance_)
        expected = [
            mahalanobis(vector, vectors.mean(axis=0), inverse) ** 2 / 5 for vector in test[:, i, j]
        ]
        np.testing.assert_allclose(distances[:, i, j], expected, rtol=1e-4)


def test_normals_have_a_distance_near_one_and_others_a_larger_one():
    train, test = make_observations(500, 0), make_observations(200, 1)
    test[100:, 1, 2] += 3
    distances = measure(train, test)
    np.testing.assert_allclose(distances[:100].mean(axis=0), 1, atol=0.25)
    assert (distances[100:, 1, 2] > distances[:100, 1, 2].max()).mean() > 0.9
    np.testing.assert_allclose(distances[100:, :, :2].mean(axis=0), 1, atol=0.25)


def test_two_training_normals_suffice():
    train = make_observations(2, 0)
    distances = measure(train, np.concatenate([train, train + 1]))
    assert np.isfinite(distances).all()
    assert (distances[:2] < distances[2:]).all()


def test_one_training_normal_is_refused():
    with pytest.raises(UserError, match=r"at least two training normals, but there are 1; add"):
        place_gaussian.fit_place_gaussian(make_observations(1, 0))


def test_places_and_channels_without_variance_do_not_make_rounding_large():
    train, test = make_observations(60, 0), make_observations(20, 1)
    for o in (train, test):
        o[:, 0, 0] = 3.3  # a place
        o[..., 2] = -1.7  # a channel
    stored = train.astype(np.float16)
    distances = measure(stored, test)
    assert np.isfinite(distances).all()
    assert distances[:, 0, 0].max() < 0.1
    usual = np.delete(test, 2, axis=3), np.delete(train, 2, axis=3)
    np.testing.assert_allclose(distances[:, 1] * 5 / 4, measure(*usual[::-1])[:, 1], rtol=0.5)


def test_a_change_at_a_place_without_variance_is_abnormal():
    train, test = make_observations(60, 0), make_observations(1, 1)
    train[:, 0, 0] = 3.3
    test[:, 0, 0] = 4.3
    distances = measure(train, test)
    assert distances[0, 0, 0] > 10 * distances[0, 1].max()


def test_the_fit_of_a_place_does_not_depend_on_other_places():
    train = make_observations(20, 0)
    whole = place_gaussian.fit_place_gaussian(train)
    part = place_gaussian.fit_place_gaussian(train[:, 1:, :1])
    np.testing.assert_array_equal(whole.whiten[1:, :1], part.whiten)
    np.testing.assert_array_equal(whole.mean[1:, :1], part.mean)
