import numpy as np
import pytest
from scipy.spatial import geometric_slerp

from vae_jax.exploration import paths
from vae_jax.model.vae import Posterior


def test_a_linear_path_has_equal_steps_and_includes_both_ends():
    start, end = np.array([1.0, -2, 0]), np.array([3.0, 4, 1])
    path = paths.interpolate_linearly(start, end, 5)
    np.testing.assert_allclose(np.diff(path, axis=0), np.tile((end - start) / 4, (4, 1)))
    np.testing.assert_allclose(path[[0, -1]], [start, end])


def test_a_spherical_path_between_unit_vectors_is_the_one_of_scipy():
    rng = np.random.default_rng(0)
    start, end = (vector / np.linalg.norm(vector) for vector in rng.normal(size=(2, 6)))
    np.testing.assert_allclose(
        paths.interpolate_spherically(start, end, 9),
        geometric_slerp(start, end, np.linspace(0, 1, 9)),
    )


def test_only_the_linear_path_passes_near_the_origin():
    rng = np.random.default_rng(1)
    start, end = rng.normal(size=(2, 100))
    linear, spherical = (
        np.linalg.norm(path(start, end, 11), axis=1).min()
        for path in (paths.interpolate_linearly, paths.interpolate_spherically)
    )
    shorter_end = min(np.linalg.norm(start), np.linalg.norm(end))
    assert linear < 0.85 * shorter_end
    assert spherical == pytest.approx(shorter_end, rel=0.05)


@pytest.mark.parametrize("end", [np.array([2.0, 4]), np.array([-1.0, -2]), np.zeros(2)])
def test_a_spherical_path_is_linear_if_the_turn_is_not_defined(end):
    start = np.array([1.0, 2])
    np.testing.assert_allclose(
        paths.interpolate_spherically(start, end, 4), paths.interpolate_linearly(start, end, 4)
    )


def test_active_dimensions_are_sorted_by_kl_and_exclude_collapsed_ones():
    rng = np.random.default_rng(2)
    mu = rng.normal(size=(200, 4)) * np.array([0.5, 0.01, 2.0, 0.3])
    logvar = np.log(np.tile([0.5, 1.0, 0.1, 0.05], (200, 1)))
    dimensions = paths.find_active_dimensions(Posterior(mu, logvar))
    sigma = np.exp(0.5 * logvar)
    kl = (-np.log(sigma) + (sigma**2 + mu**2) / 2 - 0.5).mean(axis=0)
    assert dimensions.active.tolist() == [2, 3, 0]
    np.testing.assert_allclose(dimensions.weight, kl[[2, 3, 0]])


def test_all_dimensions_of_an_autoencoder_are_active_and_sorted_by_variance():
    mu = np.random.default_rng(3).normal(size=(50, 3)) * np.array([1e-3, 5, 1])
    assert paths.find_active_dimensions(Posterior(mu, None)).active.tolist() == [1, 2, 0]


def test_a_traversal_moves_one_dimension_by_three_deviations_around_the_mean():
    mu = np.random.default_rng(4).normal(size=(500, 3)) * 2 + 1
    path = paths.traverse_dimension(paths.find_active_dimensions(Posterior(mu, None)), 1, 7)
    np.testing.assert_allclose(path[:, [0, 2]], np.tile(mu.mean(axis=0)[[0, 2]], (7, 1)))
    steps = mu[:, 1].mean() + mu[:, 1].std() * np.arange(-3, 4)
    np.testing.assert_allclose(path[:, 1], steps)
