import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from vae_jax.exploration import neighbours
from vae_jax.exploration.pixels import flat, shrink


def test_the_nearest_training_image_is_scikit_learns(dataset, monkeypatch):
    monkeypatch.setattr(neighbours, "_CHUNK", 7)
    train, test = dataset.train.images, dataset.test.images
    found = neighbours.nearest(test, train)
    reference = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(flat(train).astype(float))
    distance, index = reference.kneighbors(flat(test).astype(float))
    np.testing.assert_array_equal(found.index, index[:, 0])
    np.testing.assert_allclose(found.distance, distance[:, 0] / 8, rtol=1e-5)


def test_copies_are_suspicious_and_new_images_are_not(dataset):
    train, test = dataset.train.images, dataset.test.images[:15]
    decoded = test / np.float32(255)
    copies = neighbours.memorisation(train[:8] / np.float32(255), test, decoded, train)
    assert copies.suspicious == 1
    np.testing.assert_array_equal(copies.neighbours.index, np.arange(8))
    np.testing.assert_allclose(copies.samples, 0, atol=1e-6)
    assert neighbours.memorisation(decoded, test, decoded, train).suspicious <= 1 / 15


def test_pixels_are_averaged_in_whole_blocks():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 131, 100, 3), np.uint8)
    found = shrink(images)
    assert found.shape == (2, 43, 33, 3)
    assert found[1, 2, 5, 0] == pytest.approx(images[1, 6:9, 15:18, 0].mean() / 255, rel=1e-5)
    unit = images[:, :8, :8].astype(np.float32) / 255
    np.testing.assert_allclose(shrink(images[:, :8, :8]), unit, rtol=1e-6)
    np.testing.assert_allclose(shrink(unit), unit)
