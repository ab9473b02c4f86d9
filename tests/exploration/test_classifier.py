import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import classifier


def test_it_learns_the_classes_and_judges_itself_on_other_images(two_classes):
    held_out = (two_classes.val, two_classes.calibration)
    found = classifier.fit(two_classes.train, held_out, epochs=40, seed=0)
    assert found.classes == ["left", "right"]
    assert found.num_held_out == 35
    names = [name for role in held_out for name in role.classes]
    images = np.concatenate([role.images for role in held_out])
    right = np.mean([a == b for a, b in zip(found.classify(images), names, strict=True)])
    assert found.accuracy == pytest.approx(right)
    assert found.accuracy > 0.85


def test_features_do_not_depend_on_the_batch_or_on_how_images_are_stored(two_classes, monkeypatch):
    found = classifier.fit(two_classes.train, (two_classes.val,), epochs=1, seed=0)
    images = two_classes.test.images
    features, probabilities = found.look(images)
    assert features.shape == (25, 64)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    monkeypatch.setattr(classifier, "_BATCH", 4)
    np.testing.assert_allclose(found.look(images)[0], features, atol=1e-5)
    np.testing.assert_allclose(found.look(images / np.float32(255))[0], features, atol=1e-5)


def test_the_same_seed_gives_the_same_classifier(two_classes):
    once, again, other = (
        classifier.fit(two_classes.train, (two_classes.val,), 1, seed).look(two_classes.test.images)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(once[0], again[0])
    assert not np.allclose(once[0], other[0])


def test_one_class_leaves_nothing_to_learn(two_classes):
    train = dataclasses.replace(two_classes.train, classes=["disc"] * 40)
    with pytest.raises(UserError, match=r"is of the class disc.*explore\.inception"):
        classifier.fit(train, (two_classes.val,), 1, 0)
