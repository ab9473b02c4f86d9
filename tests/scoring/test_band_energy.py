import numpy as np
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from vae_jax.scoring.band_energy import fit_band_energy


def draw_bands(count, seed, shape=(3, 2, 6)):
    return np.random.default_rng(seed).normal(-4, 2, (count, *shape)).astype(np.float32)


def test_the_distance_is_that_to_the_nearest_normal_in_standardised_energies():
    train, test = draw_bands(50, 0), draw_bands(20, 1)
    x, y = (bands[..., :5].reshape(len(bands), -1) for bands in (train, test))
    scaler = StandardScaler().fit(x)
    # All 30 components are kept, so the PCA only rotates.
    expected = cdist(scaler.transform(y), scaler.transform(x)).min(axis=1)
    distances = fit_band_energy(train, seed=0).distances(test)
    assert distances.dtype == np.float64
    np.testing.assert_allclose(distances, expected, rtol=1e-4)


def test_of_many_energies_64_principal_components_are_compared():
    train, test = draw_bands(90, 0, (4, 5, 6)), draw_bands(20, 1, (4, 5, 6))
    x, y = (bands[..., :5].reshape(len(bands), -1) for bands in (train, test))
    scaler = StandardScaler().fit(x)
    pca = PCA(64, svd_solver="full").fit(scaler.transform(x))
    x, y = (pca.transform(scaler.transform(values)) for values in (x, y))
    distances = fit_band_energy(train, seed=0).distances(test)
    np.testing.assert_allclose(distances, cdist(y, x).min(axis=1), rtol=1e-3)


def test_a_training_normal_has_no_distance():
    train = draw_bands(30, 0)
    np.testing.assert_allclose(fit_band_energy(train, 0).distances(train), 0, atol=1e-3)


def test_local_means_have_no_influence():
    train, test = draw_bands(30, 0), draw_bands(10, 1)
    fit = fit_band_energy(train, seed=0)
    brighter = test + np.float32([0, 0, 0, 0, 0, 9])
    np.testing.assert_array_equal(fit.distances(brighter), fit.distances(test))
