import pathlib

import pytest

from vae_jax.config import default
from vae_jax.data.new_labels import label_classes, spell_class
from vae_jax.errors import UserError

FOLDER = pathlib.Path("new")


def make_config(dataset="folder", normal=(), anomaly=(), **fields):
    data = default().data
    data.update(dataset=dataset, normal_classes=normal, anomaly_classes=anomaly, **fields)
    return data


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (make_config(), {"good": 0, "scratch": 1, "Normal": 0}),
        (make_config(normal=("fine",)), {"Fine": 0, "scratch": 1, "good": 1}),
        (make_config(normal=("fine",)), {"good": 0, "scratch": 1}),
        (
            make_config(normal=("good",), anomaly=("scratch",)),
            {"good": 0, "scratch": 1, "dent": -1},
        ),
        (make_config(anomaly=("scratch",)), {"a": 0, "b": 0, "scratch": 1}),
        (make_config(anomaly=("scratch",)), {"scratch": 1}),
        (make_config("digits", anomaly=("0",)), {"0": 1, "3": 0}),
        (make_config("chest_xray", ("NORMAL",), ("PNEUMONIA",)), {"NORMAL": 0, "PNEUMONIA": 1}),
        (make_config("fashion_mnist", anomaly_dataset="mnist"), {"3": 0, "digit": 1}),
    ],
)
def test_folders_are_labelled_as_training_would_label_them(config, expected):
    assert label_classes(list(expected), config, FOLDER) == expected


def test_folders_without_a_normal_class_are_refused():
    with pytest.raises(UserError, match=r"no class in new is called good, normal, ok; .* dent, x"):
        label_classes(["x", "dent"], make_config(), FOLDER)
    with pytest.raises(UserError, match="no class in new is called fine; name the normal classes"):
        label_classes(["dent"], make_config(normal=("fine",)), FOLDER)


def test_classes_are_spelled_as_in_the_dataset():
    assert spell_class("normal", "chest_xray") == "NORMAL"
    assert spell_class("nodefect_images", "aitex") == "roll"
    assert spell_class("Good", "folder") == "Good"
