import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import classifier as classifier_lib
from vae_jax.exploration.classifier import (
    count_correct,
    fit_classifier,
    train_feature_network,
)


@pytest.fixture(scope="module")
def weak_classifier(two_classes):
    """A classifier that was trained for one epoch."""
    return fit_classifier(two_classes.train, epochs=1, seed=0)


def test_a_classifier_learns_the_classes_of_the_training_images(two_classes):
    classifier = fit_classifier(two_classes.train, epochs=40, seed=0)
    assert classifier.classes == ["left", "right"]
    held_out = (two_classes.val, two_classes.calibration)
    num_correct, num_images = count_correct(classifier, held_out, seed=0)
    assert num_images == 35
    assert num_correct / num_images > 0.85


def test_correct_predictions_are_counted_over_all_roles(weak_classifier, two_classes):
    held_out = (two_classes.val, two_classes.calibration)
    names = [name for role in held_out for name in role.classes]
    images = np.concatenate([role.images for role in held_out])
    expected = np.sum(np.array(weak_classifier.classify(images)) == np.array(names))
    assert count_correct(weak_classifier, held_out, seed=0) == (expected, 35)


def test_features_do_not_depend_on_the_batch_size_or_the_number_format(
    weak_classifier, two_classes, monkeypatch
):
    images = two_classes.test.images
    features = weak_classifier.compute_features(images)
    assert features.values.shape == (25, 64)
    np.testing.assert_allclose(features.probabilities.sum(axis=1), 1, rtol=1e-5)
    as_float = weak_classifier.compute_features(images / np.float32(255))
    np.testing.assert_allclose(as_float.values, features.values, atol=1e-5)
    monkeypatch.setattr(classifier_lib, "_BATCH", 4)
    in_small_batches = weak_classifier.compute_features(images)
    np.testing.assert_allclose(in_small_batches.values, features.values, atol=1e-5)


def test_the_same_seed_gives_the_same_classifier(weak_classifier, two_classes):
    images = two_classes.test.images
    features, repeated, other = (
        classifier.compute_features(images).values
        for classifier in (
            weak_classifier,
            fit_classifier(two_classes.train, epochs=1, seed=0),
            fit_classifier(two_classes.train, epochs=1, seed=1),
        )
    )
    np.testing.assert_array_equal(features, repeated)
    assert not np.allclose(features, other)


def test_one_class_is_rejected(two_classes):
    train = dataclasses.replace(two_classes.train, classes=["disc"] * 40)
    with pytest.raises(UserError, match=r"has the class disc.*explore\.inception"):
        fit_classifier(train, 1, 0)


def test_the_name_of_the_feature_network_contains_its_accuracy(weak_classifier, two_classes):
    network = train_feature_network(two_classes, epochs=1, seed=0)
    held_out = (two_classes.val, two_classes.calibration)
    accuracy = count_correct(weak_classifier, held_out, seed=0)[0] / 35
    assert network.name == (
        f"classifier of discs, 2 classes, {accuracy:.3f} right of 35 held-out images"
    )
