import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration.separability import compute_accuracies, measure_separability


def test_visible_classes_are_separated_on_held_out_and_on_test_images(make_trained):
    separability = measure_separability(make_trained())
    assert separability.classes == ["left", "right"]
    assert separability.num_training_images == 40
    # No classifier was trained on rings, so the ten rings of the test images are left out.
    assert separability.num_images == {"held_out": 35, "test": 15}
    assert set(separability.accuracies) == {"held_out", "test"}
    assert set(separability.accuracies["test"]) == {"real", "codes", "decoded"}
    assert separability.accuracies["test"]["real"].accuracy.value > 0.8


def test_classifiers_are_trained_on_training_images_only(make_trained, two_classes):
    swap = {"left": "right", "right": "left"}
    classes = [swap[name] for name in two_classes.train.classes]
    train = dataclasses.replace(two_classes.train, classes=classes)
    trained = make_trained(dataclasses.replace(two_classes, train=train))
    accuracies = measure_separability(trained).accuracies
    assert accuracies["held_out"]["real"].accuracy.value < 0.2
    assert accuracies["test"]["real"].accuracy.value < 0.2


def test_one_class_is_rejected_with_its_number_of_groups(make_trained, dataset):
    message = "at least two classes of normal images with 5 groups of .*; found .*: disc 40"
    with pytest.raises(UserError, match=message):
        measure_separability(make_trained(dataset))


def test_test_images_of_one_class_are_not_evaluated(make_trained, two_classes):
    rows = np.flatnonzero(np.array(two_classes.test.classes) == "left")
    dataset = dataclasses.replace(two_classes, test=two_classes.test.take(rows))
    assert set(measure_separability(make_trained(dataset)).accuracies) == {"held_out"}


def test_balanced_accuracy_is_the_mean_over_classes():
    names = np.array(["a"] * 90 + ["b"] * 10)
    is_correct = np.array([True] * 90 + [True] * 2 + [False] * 8)
    accuracies = compute_accuracies(is_correct, names)
    assert accuracies.accuracy.value == pytest.approx(0.92)
    assert accuracies.balanced_accuracy.value == pytest.approx((1 + 0.2) / 2)


def test_the_interval_of_the_accuracy_is_the_one_of_wilson():
    is_correct = np.arange(100) < 92
    accuracy = compute_accuracies(is_correct, np.array(["a"] * 100)).accuracy
    # Formula as printed by Brown, Cai and DasGupta 2001, z = 1.96.
    z, n, p = 1.959964, 100, 0.92
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert accuracy.low == pytest.approx(centre - margin, abs=1e-5)
    assert accuracy.high == pytest.approx(centre + margin, abs=1e-5)


def test_intervals_of_the_balanced_accuracy_contain_the_truth_in_95_percent_of_cases():
    rng = np.random.default_rng(0)
    names = np.array(["a"] * 60 + ["b"] * 25)
    true_accuracy = np.where(names == "a", 0.9, 0.7)
    contains_truth = []
    for _ in range(600):
        is_correct = rng.uniform(size=len(names)) < true_accuracy
        interval = compute_accuracies(is_correct, names).balanced_accuracy
        contains_truth.append(interval.low <= 0.8 <= interval.high)
    assert 0.93 < np.mean(contains_truth) < 0.99
