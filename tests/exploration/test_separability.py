import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration.separability import judge, separability


def test_classes_that_pixels_show_are_told_apart_on_held_out_and_on_test_images(make_trained):
    found = separability(make_trained())
    assert found.classes == ["left", "right"]
    assert found.num_images["test"] == 15  # rings are of no class that was learnt
    assert found.num_learnt == 40
    assert found.num_images["held_out"] == 35
    assert set(found.judged) == {"held_out", "test"}
    assert set(found.judged["test"]) == {"real", "codes", "decoded"}
    assert found.judged["test"]["real"].accuracy.value > 0.8


def test_only_training_images_teach(make_trained, two_classes):
    swapped = [{"left": "right", "right": "left"}[name] for name in two_classes.train.classes]
    train = dataclasses.replace(two_classes.train, classes=swapped)
    found = separability(make_trained(dataclasses.replace(two_classes, train=train)))
    assert found.judged["held_out"]["real"].accuracy.value < 0.2
    assert found.judged["test"]["real"].accuracy.value < 0.2


def test_one_class_is_refused_by_name(make_trained, dataset):
    with pytest.raises(UserError, match=r"takes two with 5 groups each.*disc 40"):
        separability(make_trained(dataset))


def test_test_images_of_one_class_are_not_judged(make_trained, two_classes):
    left = np.flatnonzero(np.array(two_classes.test.classes) == "left")
    found = separability(
        make_trained(dataclasses.replace(two_classes, test=two_classes.test.take(left)))
    )
    assert set(found.judged) == {"held_out"}


def test_balanced_accuracy_is_the_mean_over_classes():
    names = np.array(["a"] * 90 + ["b"] * 10)
    right = np.array([True] * 90 + [True] * 2 + [False] * 8)
    found = judge(right, names)
    assert found.accuracy.value == pytest.approx(0.92)
    assert found.balanced_accuracy.value == pytest.approx((1 + 0.2) / 2)
    # Wilson's interval as printed by Brown, Cai and DasGupta's formula, z = 1.96.
    z, n, p = 1.959964, 100, 0.92
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert found.accuracy.low == pytest.approx(centre - reach, abs=1e-5)
    assert found.accuracy.high == pytest.approx(centre + reach, abs=1e-5)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    names = np.array(["a"] * 60 + ["b"] * 25)
    truth = np.where(names == "a", 0.9, 0.7)
    inside = []
    for _ in range(600):
        found = judge(rng.uniform(size=len(names)) < truth, names)
        inside.append(found.balanced_accuracy.low <= 0.8 <= found.balanced_accuracy.high)
    assert 0.93 < np.mean(inside) < 0.99
