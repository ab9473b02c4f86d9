import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import entropy

from vae_jax.metrics import generation
from vae_jax.metrics.generation import Moments


def features(count, dims, seed, shift=0.0):
    """Correlated values of very different scales."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dims, dims)) * np.geomspace(1e-2, 3, dims)
    return rng.normal(size=(count, dims)) @ mixing + shift


def test_frechet_distance_equals_that_with_the_matrix_root_of_scipy():
    a, b = (
        generation.compute_moments(features(300, 20, seed, shift=0.3 * seed)) for seed in (0, 1)
    )
    root = sqrtm(a.covariance @ b.covariance).real
    expected = np.sum((a.mean - b.mean) ** 2) + np.trace(a.covariance + b.covariance - 2 * root)
    assert generation.frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_of_independent_dimensions_has_the_closed_form():
    rng = np.random.default_rng(2)
    (mean_a, mean_b), (std_a, std_b) = rng.normal(size=(2, 8)), rng.uniform(0.1, 3, (2, 8))
    distance = generation.frechet_distance(
        Moments(mean_a, np.diag(std_a**2)), Moments(mean_b, np.diag(std_b**2))
    )
    assert distance == pytest.approx(np.sum((mean_a - mean_b) ** 2) + np.sum((std_a - std_b) ** 2))


def test_frechet_distance_is_right_with_fewer_images_than_features():
    # Each Gaussian varies in one dimension, and the two dimensions differ: the Gaussians do not overlap.
    a, b = np.zeros((5, 40)), np.zeros((5, 40))
    a[:, 3], b[:, 7] = np.arange(5), 2 * np.arange(5)
    moments = generation.compute_moments(a), generation.compute_moments(b)
    between = 2.0**2 + 4.0**2
    assert generation.frechet_distance(*moments) == pytest.approx(between + 2.5 + 10.0)
    moments = generation.compute_moments(features(10, 200, 3))
    assert generation.frechet_distance(moments, moments) == pytest.approx(
        0, abs=1e-10 * np.trace(moments.covariance)
    )


def test_frechet_distance_is_symmetric():
    a, b = (generation.compute_moments(features(50, 12, seed)) for seed in (4, 5))
    assert generation.frechet_distance(a, b) == pytest.approx(generation.frechet_distance(b, a))


def test_moments_equal_those_of_numpy():
    values = features(30, 4, 6)
    moments = generation.compute_moments(values)
    np.testing.assert_allclose(moments.mean, values.mean(axis=0))
    np.testing.assert_allclose(moments.covariance, np.cov(values, rowvar=False))
    with pytest.raises(ValueError, match="needs at least two images; found 1"):
        generation.compute_moments(values[:1])


def test_inception_score_is_the_mean_exponential_of_scipys_relative_entropy():
    probabilities = np.random.default_rng(7).dirichlet(np.full(6, 0.3), 40)
    expected = [
        np.exp(np.mean([entropy(row, part.mean(axis=0)) for row in part]))
        for part in np.split(probabilities, 4)
    ]
    mean, deviation = generation.inception_score(probabilities, 4)
    assert mean == pytest.approx(np.mean(expected))
    assert deviation == pytest.approx(np.std(expected))


def test_inception_score_lies_between_one_and_the_number_of_classes():
    sure = np.tile(np.eye(5), (8, 1))
    assert generation.inception_score(sure, 2) == pytest.approx((5, 0))
    assert generation.inception_score(np.full((20, 5), 0.2), 2) == pytest.approx((1, 0))
    assert generation.inception_score(sure[::5], 2) == pytest.approx((1, 0))
    with pytest.raises(ValueError, match="4 parts need at least 4 images; found 3"):
        generation.inception_score(sure[:3], 4)


def test_kernel_distance_is_the_sum_over_all_pairs(monkeypatch):
    monkeypatch.setattr(generation, "_PRODUCT_ROWS", 4)  # several blocks, the last one ragged
    a, b = features(9, 3, 8), features(7, 3, 9, shift=0.5)

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    def own(values):
        n = len(values)
        pairs = [kernel(values[i], values[j]) for i in range(n) for j in range(n) if i != j]
        return sum(pairs) / (n * (n - 1))

    expected = own(a) + own(b) - 2 * np.mean([kernel(x, y) for x in a for y in b])
    assert generation.kernel_distance(a, b) == pytest.approx(expected)


def test_kernel_distance_is_unbiased_for_equal_distributions():
    rng = np.random.default_rng(10)
    distances = [
        generation.kernel_distance(rng.normal(size=(8, 2)), rng.normal(size=(6, 2)))
        for _ in range(4000)
    ]
    error = np.std(distances) / np.sqrt(len(distances))
    assert abs(np.mean(distances)) < 4 * error
    assert min(distances) < 0


def test_kernel_distance_needs_two_images_in_each_set():
    with pytest.raises(ValueError, match="in each set; found 1 and 5"):
        generation.kernel_distance(np.zeros((1, 2)), np.zeros((5, 2)))
