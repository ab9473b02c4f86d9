import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import quality
from vae_jax.metrics import generation


def look(images):
    values = images.reshape(len(images), -1)[:, 18:24].astype(np.float32)
    return values, np.full((len(images), 2), 0.5, np.float32)


def test_each_set_is_held_against_the_reference(dataset):
    train, other = dataset.train.images[:20], dataset.calibration.images[:20]
    found = quality.compare(look(train), {"same": look(train), "other": look(other)})
    assert found["same"].frechet_distance == pytest.approx(0, abs=1e-6)
    a, b = look(train)[0], look(other)[0]
    expected = generation.frechet_distance(generation.moments(a), generation.moments(b))
    assert found["other"].frechet_distance == pytest.approx(expected)
    assert found["other"].kernel_distance == pytest.approx(generation.kernel_distance(a, b))
    assert found["other"].inception_score == pytest.approx(1)


def test_sets_of_different_size_are_not_compared(dataset):
    with pytest.raises(ValueError, match="few has 10 images and not 20"):
        quality.compare(look(dataset.train.images[:20]), {"few": look(dataset.val.images[:10])})


def test_too_few_images_are_refused(dataset):
    with pytest.raises(UserError, match="9 images are too few"):
        quality.compare(look(dataset.train.images[:9]), {})


def test_one_part_of_the_inception_score_has_no_deviation():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 3)).astype(np.float32)
    probabilities = rng.dirichlet([1, 1], 200).astype(np.float32)
    for count, known in ((199, False), (200, True)):
        looked = values[:count], probabilities[:count]
        found = quality.compare(looked, {"same": looked})["same"]
        assert (found.inception_score_deviation is not None) == known
