import itertools

import numpy as np
from scipy import ndimage

from vae_jax.scoring import band_energy


def draw_images(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.uint8)


def test_features_follow_their_definition(monkeypatch):
    monkeypatch.setattr(band_energy, "_CHUNK", 2)
    x = draw_images((3, 20, 16, 3))
    expected = []
    for image in x.mean(axis=3):
        image = (image - image.mean()) / image.std()
        images = [image] + [ndimage.gaussian_filter(image, s, mode="reflect") for s in (1, 2, 4, 8)]
        for finer, coarser in itertools.pairwise(images):
            square = (finer - coarser) ** 2
            cells = [square[i : i + 8, j : j + 8].mean() for i in (0, 8, 16) for j in (0, 8)]
            expected.extend(np.log(np.array(cells) + 1e-6))
    features = band_energy.compute_features(x)
    assert features.shape == (3, 4 * 3 * 2)
    np.testing.assert_allclose(features.ravel(), expected, atol=1e-3)


def test_features_do_not_depend_on_brightness_and_contrast():
    x = draw_images((4, 24, 24, 1))
    features = band_energy.compute_features(x // 2 * 2)
    np.testing.assert_allclose(band_energy.compute_features(x // 2 + 50), features, atol=1e-3)


def test_features_of_a_blank_image_are_finite():
    features = band_energy.compute_features(np.full((1, 9, 9, 1), 77, np.uint8))
    np.testing.assert_allclose(features, np.log(1e-6), rtol=1e-5)
