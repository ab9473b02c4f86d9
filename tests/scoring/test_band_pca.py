import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from vae_jax.scoring.band_pca import enlarge_maps, fit_band_pca


def draw_bands(count, seed, shape=(5, 4, 6), sigma=1.0):
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, sigma, sigma, 0))
    return (3 * smooth - 4).astype(np.float32)


def test_the_map_is_the_smoothed_squared_error_outside_16_components():
    train, test = draw_bands(200, 0), draw_bands(20, 1)
    x, y = (bands.reshape(len(bands), -1).astype(np.float64) for bands in (train, test))
    scaler = StandardScaler().fit(x)
    pca = PCA(16, svd_solver="full").fit(scaler.transform(x))
    errors = scaler.transform(y) - pca.inverse_transform(pca.transform(scaler.transform(y)))
    cells = np.square(errors).reshape(20, 5, 4, 6).sum(axis=3)
    expected = np.stack([ndimage.gaussian_filter(image, 1.0) for image in cells])
    fit = fit_band_pca(train, seed=0)
    np.testing.assert_allclose(fit.compute_maps(test), expected, rtol=1e-2)
    scores = fit.compute_scores(test)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected.max(axis=(1, 2)), rtol=1e-2)


def test_a_changed_cell_is_the_highest_of_the_map():
    test = draw_bands(10, 1)
    test[:, 3, 1] += np.float32([6, -6, 6, -6, 6, -6])
    maps = fit_band_pca(draw_bands(200, 0), seed=0).compute_maps(test)
    assert (maps.reshape(10, -1).argmax(axis=1) == 3 * 4 + 1).all()


def test_an_image_of_one_cell_is_not_explained_completely():
    train, test = draw_bands(50, 0, (1, 1, 6), 0), draw_bands(10, 1, (1, 1, 6), 0)
    fit = fit_band_pca(train, seed=0)
    assert fit.space.pca.n_components == 3
    assert (fit.compute_scores(test) > 0.01).all()


@pytest.mark.parametrize(("height", "width"), [(40, 24), (35, 20), (33, 17)])
def test_enlarged_maps_are_bilinear_between_the_centres_of_cells(height, width):
    maps = draw_bands(3, 0, (5, 3, 1))[..., 0]
    # Whole cells, and a last cell that ends with the image.
    rows = [3.5, 11.5, 19.5, 27.5, (32 + height - 1) / 2]
    columns = [3.5, 11.5, (16 + width - 1) / 2]
    i, j = np.indices((height, width))
    inside = np.clip(i, rows[0], rows[-1]), np.clip(j, columns[0], columns[-1])
    enlarged = enlarge_maps(maps, height, width)
    assert enlarged.dtype == np.float32
    for values, pixels in zip(maps, enlarged, strict=True):
        expected = RegularGridInterpolator((rows, columns), values.astype(np.float64))(inside)
        np.testing.assert_allclose(pixels, expected, atol=1e-5)


def test_the_map_of_one_cell_is_constant():
    enlarged = enlarge_maps(np.full((1, 1, 1), 2.5, np.float32), 7, 5)
    np.testing.assert_array_equal(enlarged, np.full((1, 7, 5), 2.5))
