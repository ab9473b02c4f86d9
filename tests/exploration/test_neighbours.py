import numpy as np
from sklearn.neighbors import NearestNeighbors

from vae_jax.exploration import neighbours
from vae_jax.exploration.pixels import flatten_pixels


def test_the_nearest_training_image_is_the_one_of_scikit_learn(dataset, monkeypatch):
    monkeypatch.setattr(neighbours, "_CHUNK", 7)
    train, test = dataset.train.images, dataset.test.images
    nearest = neighbours.find_nearest(test, train)
    reference = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(
        flatten_pixels(train).astype(float)
    )
    distance, index = reference.kneighbors(flatten_pixels(test).astype(float))
    np.testing.assert_array_equal(nearest.index, index[:, 0])
    np.testing.assert_allclose(nearest.distance, distance[:, 0] / 8, rtol=1e-5)


def test_only_samples_that_equal_training_images_are_suspicious(dataset):
    train, test = dataset.train.images, dataset.test.images[:15]
    reconstructions = test / np.float32(255)
    memorised = neighbours.measure_memorisation(
        train[:8] / np.float32(255), test, reconstructions, train
    )
    assert memorised.suspicious == 1
    np.testing.assert_array_equal(memorised.neighbours.index, np.arange(8))
    np.testing.assert_allclose(memorised.samples, 0, atol=1e-6)
    new = neighbours.measure_memorisation(reconstructions, test, reconstructions, train)
    assert new.suspicious <= 1 / 15
