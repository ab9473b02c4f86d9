import logging

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import pipeline
from vae_jax.data.builders.folder import Folder
from vae_jax.errors import UserError

CLASSES = ("good/0.png", "good/1.png", "scratch/0.png", "scratch/deep/1.jpg")
SPLIT_UP = ("train/good/0.png", "train/good/1.png", "test/good/0.png", "test/scratch/0.png")


@pytest.fixture
def make(tmp_path):
    """Names of images -> the folder that holds them, no two alike."""

    def make(*names):
        for name in names:
            path = tmp_path / "own" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng(list(name.encode()))
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(path)
        return tmp_path / "own"

    return make


def items(folder):
    # items() needs no prepared builder; an instance would want a folder to write to.
    return Folder.items(Folder, Folder.locate(folder))


def seen(folder):
    return {
        split: [(item.file, item.class_name) for item in listed]
        for split, listed in items(folder).items()
    }


def test_a_class_is_called_as_its_folder(make):
    assert seen(make(*CLASSES)) == {
        "train": [
            ("good/0.png", "good"),
            ("good/1.png", "good"),
            ("scratch/0.png", "scratch"),
            ("scratch/deep/1.jpg", "scratch"),
        ]
    }


def test_the_layout_of_mvtec_has_a_test_split(make):
    assert seen(make(*SPLIT_UP, "validation/good/0.png")) == {
        "test": [("test/good/0.png", "good"), ("test/scratch/0.png", "scratch")],
        "train": [
            ("train/good/0.png", "good"),
            ("train/good/1.png", "good"),
            ("validation/good/0.png", "good"),
        ],
    }


def test_images_without_a_folder_are_normal(make):
    assert seen(make("a.png", "b.png")) == {"train": [("a.png", "normal"), ("b.png", "normal")]}


@pytest.mark.parametrize(
    "names",
    [("good/0.png", "a.png"), ("train/0.png", "test/a.png"), ("train/good/0.png", "train/a.png")],
)
def test_an_image_of_no_class_among_others_is_refused(make, names):
    with pytest.raises(UserError, match=r"a\.png stands in no folder of a class"):
        Folder.locate(make(*names))


@pytest.mark.parametrize("mask", ["0.png", "0_mask.png"])
@pytest.mark.parametrize(("layout", "prefix"), [(CLASSES, ""), (SPLIT_UP, "test/")])
def test_masks_have_their_images_class_and_name(make, layout, prefix, mask):
    folder = make(*layout, f"ground_truth/scratch/{mask}", "ground_truth/good/1.png")
    (folder / "ground_truth/good/1.png").unlink()
    masks = {
        item.file: item.mask and item.mask.name
        for listed in items(folder).values()
        for item in listed
    }
    assert masks.pop(f"{prefix}scratch/0.png") == mask
    assert set(masks.values()) == {None}
    assert len(masks) == 3


def test_a_training_image_has_no_mask_of_a_tested_one_of_its_name(make):
    folder = make("train/mixed/0.png", "test/mixed/0.png", "ground_truth/mixed/0.png")
    found = items(folder)
    assert found["train"][0].mask is None
    assert found["test"][0].mask is not None


def test_masks_without_an_image_and_folders_without_a_role_are_told(make, caplog):
    folder = make(*SPLIT_UP, "ground_truth/scratch/9.png", "notes/0.png")
    with caplog.at_level(logging.WARNING):
        items(folder)
    assert "left out beside train and test: notes" in caplog.text
    assert "1 masks belong to no image" in caplog.text


def test_groups_and_duplicates_stay_together(make):
    folder = make(*CLASSES, "good/2.png")
    (folder / "good/3.png").write_bytes((folder / "good/2.png").read_bytes())
    (folder / "groups.csv").write_text("file,group\ngood/0.png,7\nscratch/0.png,7\n")
    groups = {item.file: item.group for item in items(folder)["train"]}
    assert groups == {
        "good/0.png": "7",
        "good/1.png": "good/1.png",
        "good/2.png": "good/2.png",
        "good/3.png": "good/2.png",
        "scratch/0.png": "7",
        "scratch/deep/1.jpg": "scratch/deep/1.jpg",
    }


def test_what_is_hidden_or_no_image_is_passed_over(make):
    folder = make(*CLASSES, ".trash/0.png", "good/.0.png")
    (folder / "good/notes.txt").write_text("no image")
    assert len(items(folder)["train"]) == len(CLASSES)


def test_a_folder_without_images_is_refused_with_what_belongs_there(make):
    folder = make("ground_truth/scratch/0.png")
    with pytest.raises(
        UserError, match=r"has no images .*; point .* a folder of images for each class"
    ):
        Folder.locate(folder)


def test_every_other_class_is_an_anomaly(make, data_config):
    counts = {"good": 20, "dent": 2, "hole": 3}
    names = [f"{name}/{i}.png" for name, count in counts.items() for i in range(count)]
    data_config.dataset, data_config.manual_dir = "folder", str(make(*names))
    data_config.channels = 3
    data_config.normal_classes, data_config.anomaly_classes = ("good", "normal"), ()
    dataset = pipeline.load(data_config, seed=0)
    assert (
        sorted(np.array(dataset.test.classes)[dataset.test.labels == 1])
        == ["dent"] * 2 + ["hole"] * 3
    )
    assert set(dataset.train.classes) == {"good"}


def test_an_official_test_split_is_kept(make, data_config):
    names = [f"train/good/{i}.png" for i in range(20)]
    tested = ["test/good/0.png", "test/hole/0.png"]
    data_config.dataset = "folder"
    data_config.manual_dir = str(make(*names, *tested, "ground_truth/hole/0_mask.png"))
    data_config.channels = 3
    data_config.normal_classes, data_config.anomaly_classes = ("good",), ()
    dataset = pipeline.load(data_config, seed=0)
    assert sorted(dataset.test.files) == tested
    assert dataset.test.has_mask.all()


def test_a_normal_class_that_is_not_there_is_refused_with_those_that_are(make, data_config):
    data_config.dataset, data_config.manual_dir = "folder", str(make(*CLASSES))
    data_config.normal_classes, data_config.anomaly_classes = ("god",), ()
    with pytest.raises(UserError, match=r"normal_classes=god; classes with images: good, scratch"):
        pipeline.load(data_config, seed=0)


def test_own_images_cannot_be_downloaded(data_config):
    data_config.dataset = "folder"
    with pytest.raises(
        UserError, match=r"^folder is not downloaded, and data\.manual_dir is empty; point"
    ):
        pipeline.load(data_config, seed=0)
