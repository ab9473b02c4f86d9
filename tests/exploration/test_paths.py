import numpy as np
import pytest
from scipy.spatial import geometric_slerp

from vae_jax.exploration import paths
from vae_jax.model.vae import Posterior


def test_a_straight_way_has_equal_steps_and_both_ends():
    start, end = np.array([1.0, -2, 0]), np.array([3.0, 4, 1])
    way = paths.linear(start, end, 5)
    np.testing.assert_allclose(np.diff(way, axis=0), np.tile((end - start) / 4, (4, 1)))
    np.testing.assert_allclose(way[[0, -1]], [start, end])


def test_on_the_sphere_the_turning_way_is_scipys():
    rng = np.random.default_rng(0)
    start, end = (v / np.linalg.norm(v) for v in rng.normal(size=(2, 6)))
    np.testing.assert_allclose(
        paths.spherical(start, end, 9), geometric_slerp(start, end, np.linspace(0, 1, 9))
    )


def test_the_turning_way_keeps_away_from_the_origin():
    rng = np.random.default_rng(1)
    start, end = rng.normal(size=(2, 100))
    least = [np.linalg.norm(way(start, end, 11), axis=1).min()
             for way in (paths.linear, paths.spherical)]  # fmt: skip
    shorter = min(np.linalg.norm(start), np.linalg.norm(end))
    assert least[0] < 0.85 * shorter
    assert least[1] == pytest.approx(shorter, rel=0.05)


@pytest.mark.parametrize("end", [np.array([2.0, 4]), np.array([-1.0, -2]), np.zeros(2)])
def test_without_an_angle_the_way_is_straight(end):
    start = np.array([1.0, 2])
    np.testing.assert_allclose(paths.spherical(start, end, 4), paths.linear(start, end, 4))


def test_active_dimensions_are_sorted_by_kl_and_collapsed_ones_left_out():
    rng = np.random.default_rng(2)
    mu = rng.normal(size=(200, 4)) * np.array([0.5, 0.01, 2.0, 0.3])
    logvar = np.log(np.tile([0.5, 1.0, 0.1, 0.05], (200, 1)))
    found = paths.dimensions(Posterior(mu, logvar))
    sigma = np.exp(0.5 * logvar)
    kl = (-np.log(sigma) + (sigma**2 + mu**2) / 2 - 0.5).mean(axis=0)
    assert found.active.tolist() == [2, 3, 0]
    np.testing.assert_allclose(found.weight, kl[[2, 3, 0]])


def test_all_dimensions_of_an_autoencoder_count_by_variance():
    mu = np.random.default_rng(3).normal(size=(50, 3)) * np.array([1e-3, 5, 1])
    assert paths.dimensions(Posterior(mu, None)).active.tolist() == [1, 2, 0]


def test_a_traversal_moves_one_dimension_over_three_deviations_about_the_mean():
    mu = np.random.default_rng(4).normal(size=(500, 3)) * 2 + 1
    way = paths.traverse(paths.dimensions(Posterior(mu, None)), 1, 7)
    np.testing.assert_allclose(way[:, [0, 2]], np.tile(mu.mean(axis=0)[[0, 2]], (7, 1)))
    steps = mu[:, 1].mean() + mu[:, 1].std() * np.arange(-3, 4)
    np.testing.assert_allclose(way[:, 1], steps)
