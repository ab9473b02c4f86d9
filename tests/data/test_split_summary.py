"""What a run says about duplicates, shared groups and near-duplicates."""

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import pipeline
from vae_jax.data.dataset_section import describe_dataset
from vae_jax.errors import UserError


@pytest.fixture
def folder_config(tmp_path, data_config):
    """Returns the config of a folder with an official test split, 20 training and 8 test images."""
    rng = np.random.default_rng(0)
    for name in [
        *(f"train/good/{i:02}" for i in range(20)),
        *(f"test/good/{i}" for i in range(4)),
        *(f"test/bad/{i}" for i in range(4)),
    ]:
        path = tmp_path / f"images/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 20), np.uint8)).save(path)
    data_config.dataset, data_config.manual_dir = "folder", str(tmp_path / "images")
    data_config.normal_classes, data_config.anomaly_classes = ("good",), ()
    data_config.image_size = 16
    data_config.val_fraction = data_config.calibration_fraction = 0.2
    return data_config


def copy(folder, pairs):
    """Replaces each training image by a copy of a test image in another format."""
    for train, test in pairs.items():
        (folder / f"train/good/{train}.png").unlink()
        Image.open(folder / f"test/{test}.png").save(folder / f"train/good/{train}.bmp")


def test_duplicates_and_groups_that_are_left_out_are_named_and_counted(
    folder_config, tmp_path, caplog
):
    caplog.set_level("INFO", logger="vae_jax")
    folder = tmp_path / "images"
    copy(folder, {"03": "good/1", "04": "good/1", "05": "bad/2", "06": "bad/3"})
    (folder / "groups.csv").write_text(
        "file,group\ntrain/good/10.png,p1\ntest/good/0.png,p1\n", encoding="utf-8"
    )
    for _ in range(2):  # the second time from prepared data
        caplog.clear()
        dataset = pipeline.load_dataset(folder_config, 0)
        left_out = {
            "train/good/03.bmp": "test/good/1.png",
            "train/good/04.bmp": "test/good/1.png",
            "train/good/05.bmp": "test/bad/2.png",
            "train/good/06.bmp": "test/bad/3.png",
        }
        assert dataset.split.duplicates == left_out
        assert describe_dataset(dataset)["split"] == {
            "duplicates_left_out": 4,
            "duplicate_files": left_out,
            "grouped_left_out": 1,
        }
        assert (
            "folder: 4 images outside the official test split are duplicates of test images and are left "
            "out: train/good/03.bmp equals test/good/1.png; train/good/04.bmp equals test/good/1.png; "
            "train/good/05.bmp equals test/bad/2.png; and 1 more"
        ) in caplog.messages
        (text,) = (text for text in caplog.messages if "share a group" in text)
        assert text.endswith("left out: train/good/10.png (group p1)")
    used = {
        file for role in ("train", "val", "calibration") for file in getattr(dataset, role).files
    }
    assert len(used) == 15
    assert not used & {*left_out, "train/good/10.png"}


def test_a_split_that_leaves_nothing_out_says_nothing(folder_config):
    assert "split" not in describe_dataset(pipeline.load_dataset(folder_config, 0))


def test_near_duplicates_that_are_kept_together_are_counted(folder_config, tmp_path):
    rng = np.random.default_rng(1)
    folder = tmp_path / "images/train/good"
    for i in (0, 1, 2):
        scene = np.asarray(Image.fromarray(rng.integers(0, 200, (5, 5), np.uint8)).resize((20, 20)))
        Image.fromarray(scene).save(folder / f"{i:02}.png")
        Image.fromarray(scene + rng.integers(0, 3, (20, 20), np.uint8)).save(folder / f"1{i}.png")
    folder_config.group_near_duplicates = True
    split = describe_dataset(pipeline.load_dataset(folder_config, 0))["split"]
    assert split == {"near_duplicates": 6, "near_duplicate_groups": 3}


def test_groups_that_keep_all_normal_images_out_of_training_are_named(folder_config, tmp_path):
    groups = [f"train/good/{i:02}.png,p{i % 4}" for i in range(20)]
    groups += [f"test/good/{i}.png,p{i}" for i in range(4)]
    (tmp_path / "images/groups.csv").write_text(
        "\n".join(["file,group", *groups]), encoding="utf-8"
    )
    with pytest.raises(UserError) as refusal:
        pipeline.load_dataset(folder_config, 0)
    assert (
        "every normal image outside the official test split shares its group with a test image "
        "(train/good/00.png and test/good/0.png are in the group p0; train/good/01.png and "
        "test/good/1.png are in the group p1; train/good/02.png and test/good/2.png are in the group p2; "
        "and 1 more groups); move these test images to train, or give them other groups"
    ) in str(refusal.value)


def test_groups_shared_with_abnormal_images_are_named(folder_config, tmp_path):
    folder = tmp_path / "plain"
    for name in ("good", "bad"):
        (folder / name).mkdir(parents=True)
        for path in sorted((tmp_path / "images/train/good").iterdir())[
            :: 1 if name == "good" else 5
        ]:
            pixels = np.asarray(Image.open(path))
            Image.fromarray(pixels if name == "good" else 255 - pixels).save(
                folder / name / path.name
            )
    groups = [f"{path.parent.name}/{path.name},p1" for path in folder.rglob("*.png")]
    (folder / "groups.csv").write_text("\n".join(["file,group", *groups]), encoding="utf-8")
    folder_config.manual_dir = str(folder)
    with pytest.raises(
        UserError, match=r"good/00.png and bad/00.png are in the group p1\); give them other groups"
    ):
        pipeline.load_dataset(folder_config, 0)
