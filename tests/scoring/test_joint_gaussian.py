import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import StandardScaler

from vae_jax.errors import UserError
from vae_jax.scoring import joint_gaussian


def make_vectors(count, seed, *, entries=6):
    """Vectors whose entries depend on each other and have different units."""
    mixing = np.random.default_rng(9).normal(size=(entries, entries))
    vectors = np.random.default_rng(seed).normal(size=(count, entries)) @ mixing
    return (vectors * 10.0 ** np.arange(entries) + 5).astype(np.float32)


def measure(train, test):
    gaussian = jax.tree.map(jnp.asarray, joint_gaussian.fit_joint_gaussian(train))
    return np.asarray(jax.jit(joint_gaussian.measure_joint_distance)(gaussian, jnp.asarray(test)))


@pytest.mark.parametrize("count", [4, 80])
def test_the_distance_is_scipys_after_sklearns_scaling_and_shrinkage(count):
    train, test = make_vectors(count, 0), make_vectors(10, 1)
    scaler = StandardScaler().fit(train.astype(np.float64))
    inverse = np.linalg.inv(LedoitWolf().fit(scaler.transform(train)).covariance_)
    expected = [mahalanobis(vector, np.zeros(6), inverse) for vector in scaler.transform(test)]
    np.testing.assert_allclose(measure(train, test), expected, rtol=1e-3)


def test_the_distance_does_not_depend_on_the_units_of_the_entries():
    train, test = make_vectors(80, 0), make_vectors(10, 1)
    units = np.float32([1, 1000, 0.001, 3, 1, 7])
    np.testing.assert_allclose(
        measure(train * units, test * units), measure(train, test), rtol=1e-3
    )


def test_constant_entries_do_not_make_rounding_large():
    train, test = make_vectors(80, 0), make_vectors(20, 1)
    usual = measure(train, test)
    for vectors in (train, test):
        vectors[:, 1] = 0.25 + 1e-7 * np.random.default_rng(len(vectors)).normal(size=len(vectors))
    distances = measure(train, test)
    assert np.isfinite(distances).all()
    assert distances.max() < 2 * usual.max()


def test_a_feature_that_no_training_normal_has_is_abnormal():
    train, test = make_vectors(80, 0), make_vectors(20, 1)
    for vectors in (train, test):
        vectors[:, 1] = 0
    usual = measure(train, test)
    test[:, 1] = make_vectors(80, 0).std(axis=0).mean()
    assert (measure(train, test) > usual + 1).all()


@pytest.mark.parametrize("count", [2, 5])
def test_equal_training_vectors_give_finite_distances(count):
    train = np.ones((count, 6), np.float32)
    np.testing.assert_array_equal(measure(train, train), 0)


def test_one_training_normal_is_refused():
    with pytest.raises(UserError, match="at least two training normals, but there are 1; add"):
        joint_gaussian.fit_joint_gaussian(make_vectors(1, 0))


def test_the_vector_is_the_mean_and_with_symmetry_the_difference_after_it():
    mean, difference = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    pooled = jnp.asarray(np.stack([mean, difference], axis=1))
    without = joint_gaussian.join_pooled(pooled, symmetry=False)
    both = joint_gaussian.join_pooled(pooled, symmetry=True)
    np.testing.assert_array_equal(without, mean)
    np.testing.assert_array_equal(both, np.hstack([mean, difference]))


def test_asymmetry_of_usual_halves_is_abnormal_only_with_symmetry():
    """Both halves are as usual, but they belong to different images."""
    rng = np.random.default_rng(0)

    def make_halves(count):
        image = rng.normal(size=(count, 1, 5))
        return image + 0.05 * rng.normal(size=(count, 2, 5))

    train, usual, other = make_halves(200), make_halves(50), make_halves(50)
    mixed = np.stack([usual[:, 0], other[:, 1]], axis=1)

    def make_vectors_of(halves, symmetry):
        pooled = np.stack([halves.mean(axis=1), halves[:, 0] - halves[:, 1]], axis=1)
        vectors = joint_gaussian.join_pooled(jnp.asarray(pooled, jnp.float32), symmetry=symmetry)
        return np.asarray(vectors)

    def score(halves, symmetry):
        return measure(make_vectors_of(train, symmetry), make_vectors_of(halves, symmetry))

    assert score(mixed, True).min() > score(usual, True).max()
    assert np.median(score(mixed, False)) < np.median(score(usual, False))
