import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration import image_choice


def test_each_class_comes_once_before_any_comes_twice(two_classes):
    rows = image_choice.classes_in_turn(two_classes.test, 6, 0)
    names = [two_classes.test.classes[row] for row in rows]
    assert names == ["left", "right", "ring"] * 2
    assert len(set(rows)) == 6


def test_halves_are_normals_that_nothing_learnt_from_and_share_no_group(two_classes):
    def grouped(role):
        groups = [f"{role}{row // 3}" for row in range(len(getattr(two_classes, role).images))]
        return dataclasses.replace(getattr(two_classes, role), groups=groups)

    roles = {role: grouped(role) for role in ("val", "calibration", "test")}
    groups = {
        image.tobytes(): group
        for role in roles.values()
        for image, label, group in zip(role.images, role.labels, role.groups, strict=True)
        if label == 0
    }
    assert len(groups) == 50  # no two images are the same
    dataset = dataclasses.replace(two_classes, **roles)
    first, second = (
        {groups[image.tobytes()] for image in half} for half in image_choice.halves(dataset, 100, 0)
    )
    assert first
    assert second
    assert not first & second
    assert [len(half) for half in image_choice.halves(dataset, 7, 0)] == [7, 7]


def test_pairs_are_of_two_normal_classes(two_classes):
    for a, b in image_choice.pairs(two_classes.test, 3, 0):
        assert {two_classes.test.classes[a], two_classes.test.classes[b]} == {"left", "right"}


def test_with_one_normal_class_a_pair_leads_to_an_anomaly(dataset):
    for a, b in image_choice.pairs(dataset.test, 2, 0):
        assert [dataset.test.classes[a], dataset.test.classes[b]] == ["disc", "ring"]


def test_one_image_makes_no_pair(dataset):
    with pytest.raises(UserError, match="there is one"):
        image_choice.pairs(dataset.test.take(np.array([0])), 2, 0)
