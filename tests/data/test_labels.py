import numpy as np
import pytest

from vae_jax.data.labels import label_images, resolve_class_names, select_anomalies
from vae_jax.errors import UserError


def test_an_unknown_class_is_refused_and_similar_ones_are_suggested():
    with pytest.raises(UserError, match=r"no class 'polyp'.*did you mean polyps"):
        resolve_class_names(("polyp",), ("polyps", "normal-cecum"), {}, "kvasir")


def test_an_alias_becomes_the_name_that_the_dataset_uses():
    classes, aliases = ("normal-cecum",), {"cecum": "normal-cecum"}
    assert resolve_class_names(("cecum", "normal-cecum"), classes, aliases, "kvasir") == classes


@pytest.mark.parametrize(
    ("normal", "anomaly", "labels"),
    [
        ((), (), [0, 0, 0]),
        ((), ("b",), [0, 1, 0]),
        (("b",), (), [1, 0, 1]),
        (("a",), ("b",), [0, 1, -1]),
        (("a", "absent"), ("b",), [0, 1, -1]),
    ],
)
def test_an_empty_list_of_classes_stands_for_the_complement_of_the_other(normal, anomaly, labels):
    assert label_images(["a", "b", "c"], normal, anomaly, "x").tolist() == labels


@pytest.mark.parametrize(
    ("normal", "anomaly", "message"),
    [
        (("absent",), (), "normal_classes=absent.*classes with images: a, b"),
        ((), ("absent",), "anomaly_classes=absent"),
        ((), ("a", "b"), "no image of data.normal_classes"),
        (("a",), ("a",), "a is in both"),
    ],
)
def test_classes_without_images_or_in_both_lists_are_refused(normal, anomaly, message):
    with pytest.raises(UserError, match=message):
        label_images(["a", "b"], normal, anomaly, "x")


def test_the_anomalies_of_another_dataset_come_from_its_official_test_split():
    classes = ["a", "b", "a", "b", "a"]
    official_test = np.array([False, False, True, True, True])
    assert select_anomalies(classes, official_test, (), "x").tolist() == [2, 3, 4]
    assert select_anomalies(classes, official_test, ("a",), "x").tolist() == [2, 4]
    assert select_anomalies(classes, None, ("b",), "x").tolist() == [1, 3]


def test_an_anomaly_dataset_without_images_of_the_named_classes_is_refused():
    with pytest.raises(UserError, match=r"x has no image of data.anomaly_classes=c; name"):
        select_anomalies(["a", "b"], None, ("c",), "x")
    with pytest.raises(UserError, match="anomaly_classes=a in its official test split"):
        select_anomalies(["a", "b"], np.array([False, True]), ("a",), "x")
