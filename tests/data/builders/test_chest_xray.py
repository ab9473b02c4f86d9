import collections

import numpy as np
import pytest
from PIL import Image

from vae_jax.data.builders.chest_xray import ChestXray
from vae_jax.data.prepare import prepare_dataset
from vae_jax.errors import UserError

NAMES = {
    "train/NORMAL": ["IM-0115-0001.jpeg", "IM-0429-0001-0001.jpeg", "IM-0429-0001-0002.jpeg",
                     "NORMAL2-IM-0429-0001.jpeg"],
    "train/PNEUMONIA": ["person1_bacteria_1.jpeg", "person1_virus_6.jpeg", "person10_virus_7_1.jpeg"],
    "test/NORMAL": ["IM-0429-0001.jpeg"],
    "test/PNEUMONIA": ["person1_virus_6.jpeg", "unusual.jpeg"],
}  # fmt: skip


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    # All images differ, and they are the same in every run.
    rng = np.random.default_rng(list(str(path).encode()))
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(path)


@pytest.fixture
def root(tmp_path):
    for folder, names in NAMES.items():
        for name in names:
            write(tmp_path / "files" / folder / name)
    return tmp_path / "files"


def list_images(folder):
    # list_images() needs no prepared builder; an instance would need a folder to write to.
    return ChestXray.list_images(ChestXray, ChestXray.locate_files(folder))


def test_a_group_is_a_patient_of_a_split(root):
    groups = {image.file: image.group for images in list_images(root).values() for image in images}
    assert groups == {
        "train/NORMAL/IM-0115-0001.jpeg": "train/IM-0115",
        "train/NORMAL/IM-0429-0001-0001.jpeg": "train/IM-0429",
        "train/NORMAL/IM-0429-0001-0002.jpeg": "train/IM-0429",
        "train/NORMAL/NORMAL2-IM-0429-0001.jpeg": "train/NORMAL2-IM-0429",
        "train/PNEUMONIA/person1_bacteria_1.jpeg": "train/person1",
        "train/PNEUMONIA/person1_virus_6.jpeg": "train/person1",
        "train/PNEUMONIA/person10_virus_7_1.jpeg": "train/person10",
        "test/NORMAL/IM-0429-0001.jpeg": "test/IM-0429",
        "test/PNEUMONIA/person1_virus_6.jpeg": "test/person1",
        "test/PNEUMONIA/unusual.jpeg": "test/unusual.jpeg",
    }


@pytest.mark.parametrize("inner", ["chest_xray", "chest_xray/chest_xray"])
def test_the_folders_of_the_archives_are_accepted(root, tmp_path, inner):
    place = tmp_path / "archive" / inner
    place.parent.mkdir(parents=True)
    root.rename(place)
    write(place / "train/NORMAL/._IM-0115-0001.jpeg")
    assert [len(images) for images in list_images(tmp_path / "archive").values()] == [7, 3]


def test_the_validation_folder_of_kaggles_copy_belongs_to_the_training_split(root):
    write(root / "val/NORMAL/NORMAL2-IM-1427-0001.jpeg")
    splits = list_images(root)
    assert "val/NORMAL/NORMAL2-IM-1427-0001.jpeg" in [image.file for image in splits["train"]]
    assert splits["train"][-1].group == "train/NORMAL2-IM-1427"
    assert len(splits["test"]) == 3


def test_a_copy_with_another_name_is_in_the_group_of_its_original(root):
    original = root / "train/NORMAL/IM-0115-0001.jpeg"
    (root / "train/NORMAL/IM-0999-0001.jpeg").write_bytes(original.read_bytes())
    groups = {image.file: image.group for image in list_images(root)["train"]}
    assert groups["train/NORMAL/IM-0999-0001.jpeg"] == "train/IM-0115"


@pytest.mark.parametrize("gone", ["train", "test/NORMAL"])
def test_missing_folders_are_named_with_the_address(root, tmp_path, gone):
    (root / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=rf"{gone}.*https://data.mendeley.com.*manual_dir"):
        list_images(root)


def test_without_files_the_error_names_the_address(tmp_path):
    with pytest.raises(
        UserError, match=r"cannot be downloaded automatically.*https://data.mendeley.com"
    ):
        prepare_dataset("chest_xray", "", str(tmp_path))


def test_real_files_have_their_published_counts_and_thirty_sets_of_duplicates(real_data):
    files = ChestXray.locate_files(real_data / "chest_xray")
    splits = ChestXray.list_images(ChestXray, files)
    counts = collections.Counter(
        (split, image.class_name) for split, images in splits.items() for image in images
    )
    assert counts == {
        ("train", "NORMAL"): 1341,
        ("train", "PNEUMONIA"): 3875,
        ("test", "NORMAL"): 234,
        ("test", "PNEUMONIA"): 390,
    }
    groups = {image.file: image.group for images in splits.values() for image in images}
    # These are the only duplicates whose names contain two different patients.
    pair = [groups[f"test/NORMAL/NORMAL2-IM-009{digit}-0001.jpeg"] for digit in (5, 6)]
    assert pair == ["test/NORMAL2-IM-0095"] * 2
    assert not {image.group for image in splits["train"]} & {
        image.group for image in splits["test"]
    }


def test_the_log_counts_files_that_are_left_out(root, caplog):
    for name in ("a.txt", "b.txt", "c.bmp"):
        (root / "train/NORMAL" / name).write_bytes(b"")
    (root / "test/PNEUMONIA/d.csv").write_bytes(b"")
    ChestXray.locate_files(root)
    assert "left out 4 files whose suffix is none of .jpeg, .jpg, .png: 2 .txt" in caplog.text
    caplog.clear()
    for path in (root / "train/NORMAL").glob("*.jpeg"):
        path.unlink()
    with pytest.raises(UserError, match=r"train/NORMAL has no images, only 2 .txt, 1 .bmp"):
        ChestXray.locate_files(root)
