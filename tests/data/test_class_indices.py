import dataclasses

import numpy as np
import pytest

from vae_jax.data.class_indices import UNKNOWN, index_classes, list_class_names
from vae_jax.errors import UserError


@pytest.fixture
def two_classes(dataset):
    """Dataset whose training images have two classes, and whose test images have a third one."""
    train = dataclasses.replace(dataset.train, classes=["b", "a"] * (len(dataset.train) // 2))
    test = dataset.test.take(np.arange(3))
    test = dataclasses.replace(test, classes=["b", "ring", "a"])
    return dataclasses.replace(dataset, train=train, test=test)


def test_the_training_images_alone_define_the_classes(two_classes):
    assert list_class_names(two_classes) == ["a", "b"]
    assert index_classes(two_classes, two_classes.train, 2)[:3].tolist() == [1, 0, 1]
    assert index_classes(two_classes, two_classes.test, 2).tolist() == [1, UNKNOWN, 0]


def test_a_model_that_is_not_conditional_needs_no_index(two_classes):
    assert index_classes(two_classes, two_classes.test, 0) is None


def test_another_number_of_classes_than_that_of_the_model_is_refused(two_classes):
    with pytest.raises(UserError, match=r"is 3, .* 2 classes \(a, b\); .*model\.num_classes=2"):
        index_classes(two_classes, two_classes.test, 3)


def test_an_unknown_class_is_refused_if_the_class_must_be_known(two_classes):
    file = two_classes.test.files[1]
    with pytest.raises(UserError, match=rf"{file} has the class ring, which no training image has"):
        index_classes(two_classes, two_classes.test, 2, all_known=True)
    known = two_classes.test.take(np.array([0, 2]))
    assert index_classes(two_classes, known, 2, all_known=True).tolist() == [1, 0]
