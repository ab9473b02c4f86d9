import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import quality
from vae_jax.exploration.features import Features
from vae_jax.metrics import generation


def flat_features(images):
    values = images.reshape(len(images), -1)[:, 18:24].astype(np.float32)
    return values, np.full((len(images), 2), 0.5, np.float32)


PIXELS = Features("pixels", flat_features)


def test_each_set_is_held_against_the_training_images(dataset):
    train, other = dataset.train.images[:20], dataset.calibration.images[:20]
    found = quality.compare(PIXELS, train, {"same": train, "other": other})
    assert found["same"].frechet_distance == pytest.approx(0, abs=1e-6)
    a, b = flat_features(train)[0], flat_features(other)[0]
    expected = generation.frechet_distance(generation.moments(a), generation.moments(b))
    assert found["other"].frechet_distance == pytest.approx(expected)
    assert found["other"].kernel_distance == pytest.approx(generation.kernel_distance(a, b))
    assert found["other"].inception_score == pytest.approx(1)


def test_sets_of_different_size_are_not_compared(dataset):
    with pytest.raises(ValueError, match="few has 19 images and not 20"):
        quality.compare(PIXELS, dataset.train.images[:20], {"few": dataset.calibration.images[:19]})


def test_too_few_images_are_refused(dataset):
    with pytest.raises(UserError, match="9 images are too few"):
        quality.compare(PIXELS, dataset.train.images[:9], {})
