import itertools

import numpy as np
from scipy import ndimage

from vae_jax.scoring import band_energy


def images(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def test_features_are_those_of_the_definition(monkeypatch):
    monkeypatch.setattr(band_energy, "_CHUNK", 2)
    x = images((3, 20, 16, 3))
    expected = []
    for image in x.mean(axis=3):
        image = (image - image.mean()) / image.std()
        row = [image] + [ndimage.gaussian_filter(image, s, mode="reflect") for s in (1, 2, 4, 8)]
        for finer, coarser in itertools.pairwise(row):
            square = (finer - coarser) ** 2
            cells = [square[i : i + 8, j : j + 8].mean() for i in (0, 8, 16) for j in (0, 8)]
            expected.extend(np.log(np.array(cells) + 1e-6))
    found = band_energy.features(x)
    assert found.shape == (3, 4 * 3 * 2)
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-3)


def test_light_and_contrast_do_not_matter():
    x = images((4, 24, 24, 1))
    found = band_energy.features(x // 2 * 2)
    np.testing.assert_allclose(band_energy.features(x // 2 + 50), found, atol=1e-3)


def test_a_blank_image_is_finite():
    found = band_energy.features(np.full((1, 9, 9, 1), 77, np.uint8))
    np.testing.assert_allclose(found, np.log(1e-6), rtol=1e-5)
