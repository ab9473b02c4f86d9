import collections
import io
import logging

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import pipeline
from vae_jax.data.builders.aitex import Aitex
from vae_jax.errors import UserError

ROLES = ("train", "val", "calibration", "test")


def images_by_file(folder):
    # list_images() needs no prepared builder; an instance would need a folder to write to.
    return {
        image.file: image for image in Aitex.list_images(Aitex, Aitex.locate_files(folder))["train"]
    }


def load(root, config, **changes):
    config.manual_dir = str(root)
    config.update(changes)
    return pipeline.load_dataset(config, seed=0)


def test_strips_masks_and_fabrics_are_read_from_names(make_aitex):
    images = images_by_file(make_aitex())
    assert collections.Counter(image.class_name for image in images.values()) == {
        "roll": 16,
        "defect": 6,
    }
    assert all(image.group == file for file, image in images.items())
    assert images["Defect_images/0001_006_04.png"].mask.name == "0001_006_04_mask.png"
    assert images["NODefect_images/02u/0001_000_02.png"].mask is None
    assert {Aitex.parse_material(file) for file in images} == {"02", "04"}


def test_two_masks_of_one_strip_are_united(make_aitex):
    mask = images_by_file(make_aitex())["Defect_images/0000_006_02.png"].mask
    pixels = np.asarray(Image.open(io.BytesIO(mask)))
    expected = np.zeros((16, 64), np.uint8)
    expected[6:10, 40:44] = 255
    np.testing.assert_array_equal(pixels, expected)


def test_masks_of_one_strip_with_different_sizes_are_named(make_aitex):
    root = make_aitex()
    Image.new("L", (9, 9)).save(root / "Mask_images/0000_006_02_mask2.png")
    with pytest.raises(
        UserError, match=r"0000_006_02_mask1.png, 0000_006_02_mask2.png cannot be united"
    ):
        images_by_file(root)


def test_a_warning_names_masks_without_a_strip_and_files_with_other_names(make_aitex, caplog):
    root = make_aitex()
    (root / "Defect_images/0001_006_02.png").unlink()
    Image.new("L", (9, 9)).save(root / "Defect_images/notes.png")
    with caplog.at_level(logging.WARNING, "vae_jax"):
        assert len(images_by_file(root)) == 21
    assert (
        "the masks of 1 of 6 strips are ignored, because these strips do not exist: " in caplog.text
    )
    assert "do not exist: 0001_006_02" in caplog.text
    assert "do not follow the pattern: Defect_images/notes.png" in caplog.text


@pytest.mark.parametrize("gone", ["NODefect_images", "Defect_images", "Mask_images"])
def test_a_missing_folder_is_named_with_the_address(make_aitex, tmp_path, gone):
    root = make_aitex()
    (root / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=rf"{gone} has no images.*https://www.aitex.es.*manual_dir"):
        images_by_file(root)


def test_tiles_keep_class_offset_mask_and_fabric(make_aitex, aitex_config):
    dataset = load(make_aitex(), aitex_config)
    test = dataset.test
    assert set(test.classes) == {"roll", "clean", "defect"}
    for i, class_name in enumerate(test.classes):
        assert test.labels[i] == (class_name == "defect")
        assert test.materials[i] == test.files[i][-6:-4]
        has_defect = test.offsets[i] < 44 and test.offsets[i] + 16 > 40
        assert class_name == "roll" or (class_name == "defect") == has_defect
        expected = np.zeros((16, 64), np.uint8)
        if class_name != "roll":
            expected[6:10, 40:44] = 1
        np.testing.assert_array_equal(
            test.masks[i], expected[:, test.offsets[i] : test.offsets[i] + 16]
        )
    # Five white columns are 31 % of the first tile of a roll.
    assert 0 not in test.offsets[np.array(test.classes) == "roll"]
    assert sorted(set(test.offsets.tolist())) == [0, 12, 24, 36, 48]


@pytest.mark.parametrize("normals", [("roll", "clean"), ("roll",), ("clean", "roll", "defect")])
def test_defective_strips_are_never_trained_on(make_aitex, aitex_config, normals):
    anomalies = () if "defect" in normals else ("defect",)
    dataset = load(make_aitex(), aitex_config, normal_classes=normals, anomaly_classes=anomalies)
    for role in ROLES[:-1]:
        assert set(getattr(dataset, role).classes) == {"roll"}
    assert {file for file in dataset.test.files if file.startswith("NODefect")}


def test_tiles_of_a_strip_share_a_role(make_aitex, aitex_config):
    dataset = load(make_aitex(), aitex_config)
    files = [set(getattr(dataset, role).files) for role in ROLES]
    assert sum(map(len, files)) == len(set().union(*files)) == 22


def test_the_fraction_of_test_images_counts_the_tiles_of_rolls(make_aitex, aitex_config):
    test = load(make_aitex(), aitex_config).test
    assert len({file for file in test.files if file.startswith("NODefect")}) == 4  # a quarter of 16


def test_a_defective_strip_without_a_mask_is_not_cut_into_tiles_and_a_warning_names_it(
    make_aitex, aitex_config, caplog
):
    root = make_aitex(masks=2)
    with caplog.at_level(logging.WARNING, "vae_jax"):
        dataset = load(root, aitex_config)
    assert "Defect_images/0002_006_02.png is not used" in caplog.text
    assert not [file for file in dataset.test.files if "0002_006" in file]
    whole = load(root, aitex_config, tile_stride=0, max_saturated=1.0)
    assert [file for file in whole.test.files if "0002_006" in file]
    assert whole.test.offsets is None


def test_a_second_start_gives_the_same_tiles_and_another_stride_gives_others(
    make_aitex, aitex_config
):
    root = make_aitex()
    first, second = load(root, aitex_config), load(root, aitex_config)
    other = load(root, aitex_config, tile_stride=8)
    np.testing.assert_array_equal(first.test.images, second.test.images)
    np.testing.assert_array_equal(first.test.offsets, second.test.offsets)
    assert first.test.classes == second.test.classes
    assert len(other.test.files) > len(first.test.files)
    assert other.fingerprint == first.fingerprint


def test_all_fabrics_can_get_the_same_grey_level(make_aitex, aitex_config):
    train = load(make_aitex(), aitex_config, normalise="material").train
    fabric = np.array(train.materials)
    means = [train.images[fabric == name].mean() / 255 for name in ("02", "04")]
    assert means == pytest.approx([0.5, 0.5], abs=0.02)


def test_an_error_reports_that_every_tile_is_saturated(make_aitex, aitex_config):
    root = make_aitex()
    for path in root.glob("*Defect_images/**/*.png"):
        Image.new("L", (64, 16), 255).save(path)
    with pytest.raises(UserError, match=r"no image is left with data.max_saturated=0"):
        load(root, aitex_config, max_saturated=0.0)


def test_real_tiles_have_their_published_counts(real_data, aitex_config):
    dataset = load(
        real_data / "aitex", aitex_config, image_size=64, tile_stride=256, max_saturated=0.05
    )
    test = dataset.test
    defects = collections.Counter(
        material
        for material, class_name in zip(test.materials, test.classes, strict=True)
        if class_name == "defect"
    )
    assert defects == {"02": 38, "04": 12}
    assert len({file for role in ROLES for file in getattr(dataset, role).files}) == 88
    assert (test.stored_size[:, :2] == [4096, 256]).all()
