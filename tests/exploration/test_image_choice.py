import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration.image_choice import (
    choose_classes_in_turn,
    choose_pairs,
    split_unseen_normals,
)


def test_every_class_has_its_first_image_before_any_class_has_a_second(two_classes):
    rows = choose_classes_in_turn(two_classes.test, 6, 0)
    names = [two_classes.test.classes[row] for row in rows]
    assert names == ["left", "right", "ring"] * 2
    assert len(set(rows)) == 6


def test_the_images_of_a_class_are_chosen_by_the_seed(two_classes):
    rows, repeated, other = (
        choose_classes_in_turn(two_classes.test, 6, seed).tolist() for seed in (0, 0, 1)
    )
    assert rows == repeated
    assert rows != other


def test_the_two_sets_of_unseen_normals_share_no_group(two_classes):
    def group_by_three(role):
        groups = [f"{role}{row // 3}" for row in range(len(getattr(two_classes, role).images))]
        return dataclasses.replace(getattr(two_classes, role), groups=groups)

    roles = {role: group_by_three(role) for role in ("val", "calibration", "test")}
    group_of = {
        image.tobytes(): group
        for role in roles.values()
        for image, label, group in zip(role.images, role.labels, role.groups, strict=True)
        if label == 0
    }
    assert len(group_of) == 50  # no two images are equal
    dataset = dataclasses.replace(two_classes, **roles)
    first, second = (
        {group_of[image.tobytes()] for image in images}
        for images in split_unseen_normals(dataset, 100, 0)
    )
    assert first
    assert second
    assert not first & second
    assert [len(images) for images in split_unseen_normals(dataset, 7, 0)] == [7, 7]


def test_pairs_have_two_different_normal_classes(two_classes):
    for start, end in choose_pairs(two_classes.test, 3, 0):
        assert {two_classes.test.classes[start], two_classes.test.classes[end]} == {
            "left",
            "right",
        }


def test_with_one_normal_class_pairs_consist_of_a_normal_image_and_an_anomaly(dataset):
    for start, end in choose_pairs(dataset.test, 2, 0):
        assert [dataset.test.classes[start], dataset.test.classes[end]] == ["disc", "ring"]


def test_one_image_makes_no_pair(dataset):
    with pytest.raises(UserError, match="needs at least two test images; found 1"):
        choose_pairs(dataset.test.take(np.array([0])), 2, 0)
