import shutil

import numpy as np
import pytest
from PIL import Image

from vae_jax.config import default
from vae_jax.data.labelled_images import read_labelled_images
from vae_jax.data.pipeline import load_dataset
from vae_jax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Folder of 24 good and 4 bad images, 12 bits in 16, none of them square; the bad ones have masks."""
    rng = np.random.default_rng(0)
    for class_name, count in (("good", 24), ("bad", 4)):
        for i in range(count):
            path = tmp_path / "images" / class_name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(100, 3000, (18, 24)).astype(np.uint16)).save(path)
            if class_name == "bad":
                mask = np.zeros((18, 24), np.uint8)
                mask[4:9, 6 : 10 + i] = 255
                path = tmp_path / "images" / "ground_truth" / "bad" / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(path)
    return tmp_path / "images"


def assert_same_rows(ours, theirs):
    """Compares examples whose rows may have another order."""
    names = {name: row for row, name in enumerate(ours.names)}
    rows = np.array([names[name] for name in theirs.names])
    ours = ours.take(rows)
    for column in ("images", "labels", "masks", "has_mask", "stored_size", "out_of_view"):
        np.testing.assert_array_equal(
            getattr(ours, column)[:], getattr(theirs, column)[:], err_msg=column
        )
    assert ours.classes == theirs.classes
    assert ours.materials == theirs.materials


@pytest.mark.parametrize(
    "fields",
    [
        {"intensity": "window:0,4095"},
        {"intensity": "percentile:5,95", "framing": "pad", "roi": "ellipse", "cache": "none"},
        {"intensity": "window:0,4095", "framing": "tiles", "tile_size": 12},
    ],
)
def test_new_images_become_what_the_dataset_holds(folder, tmp_path, fields):
    data = default().data
    data.update(dataset="folder", manual_dir=str(folder), dir=str(tmp_path / "prepared"))
    data.update(image_size=12, anomaly_classes=(), val_fraction=0.2, calibration_fraction=0.2)
    data.update(fields)
    dataset = load_dataset(data, seed=0)
    images = read_labelled_images(folder, dataset.preprocessing, data, tmp_path / "decoded")
    assert not images.unreadable
    assert_same_rows(images.test, dataset.test)


def test_strips_are_cut_and_labelled_as_in_the_dataset(make_aitex, aitex_config, tmp_path):
    root = make_aitex()
    aitex_config.update(manual_dir=str(root), normalise="material")
    dataset = load_dataset(aitex_config, seed=0)
    images = read_labelled_images(root, dataset.preprocessing, aitex_config, tmp_path / "decoded")
    assert {"roll", "clean", "defect"} == set(images.test.classes)
    assert_same_rows(images.test, dataset.test)
    # Without its mask, it is unknown which tiles of a strip are abnormal.
    shutil.rmtree(root / "Mask_images")
    images = read_labelled_images(root, dataset.preprocessing, aitex_config, tmp_path / "decoded")
    assert len(images.unreadable) == 6
    assert "it has no mask" in next(iter(images.unreadable.values()))
    assert set(images.test.classes) == {"roll"}


def test_a_class_that_is_neither_normal_nor_abnormal_is_left_out(folder, tmp_path):
    data = default().data
    data.update(dataset="folder", manual_dir=str(folder), dir=str(tmp_path / "prepared"))
    data.update(image_size=12, intensity="window:0,4095", anomaly_classes=("bad",))
    preprocessing = load_dataset(data, seed=0).preprocessing
    shutil.copytree(folder / "bad", folder / "odd")
    images = read_labelled_images(folder, preprocessing, data, tmp_path / "decoded")
    assert images.left_out == {"odd": 4}
    assert len(images.test) == 28
    before = images.fingerprint
    Image.open(folder / "good/0.png").transpose(0).save(folder / "good/0.png")
    assert (
        before
        != read_labelled_images(folder, preprocessing, data, tmp_path / "decoded").fingerprint
    )


def test_a_folder_without_a_readable_image_is_refused(folder, tmp_path):
    data = default().data
    data.update(dataset="folder", manual_dir=str(folder), dir=str(tmp_path / "prepared"))
    data.update(image_size=12, intensity="window:0,4095", anomaly_classes=())
    preprocessing = load_dataset(data, seed=0).preprocessing
    (tmp_path / "new" / "good").mkdir(parents=True)
    (tmp_path / "new" / "good" / "0.png").write_bytes(b"text")
    with pytest.raises(UserError, match=r"can be judged: good/0.png \(not an image\)"):
        read_labelled_images(tmp_path / "new", preprocessing, data, tmp_path / "decoded")
