import numpy as np
from sklearn.neighbors import NearestNeighbors

from vae_jax.exploration import neighbours
from vae_jax.exploration.pixels import flat


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
