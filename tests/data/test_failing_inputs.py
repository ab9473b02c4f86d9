"""Folders of synthetic images that were once read wrongly; programs beside the test data build them."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from vae_jax.data import pipeline
from vae_jax.errors import UserError

_DEFAULT = pathlib.Path(__file__).parents[2].parent / "shared/cases"
_DATA = os.environ.get("VAE_JAX_TEST_DATA")
CASES = pathlib.Path(_DATA).parent / "cases" if _DATA else _DEFAULT

pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason=f"no programs that build failing inputs at {CASES}"
)


@pytest.fixture
def build_case(tmp_path):
    """Returns a function: name of a program, its variant -> the folder of images that it builds."""

    def build(program, *variant):
        folder = tmp_path / "images"
        command = [sys.executable, f"{program}.py", str(folder), *map(str, variant)]
        subprocess.run(command, cwd=CASES, check=True, timeout=60)
        return folder

    return build


@pytest.fixture
def load(data_config):
    """Returns a function: folder of images, fields of the `data` group -> the loaded dataset."""

    def load_folder(folder, **fields):
        data_config.dataset, data_config.manual_dir = "folder", str(folder)
        data_config.normal_classes = data_config.anomaly_classes = ()
        data_config.image_size, data_config.channels = 40, 1
        data_config.val_fraction = data_config.calibration_fraction = 0.2
        data_config.update(fields)
        return pipeline.load_dataset(data_config, seed=0)

    return load_folder


@pytest.mark.parametrize("variant", ["orient", "jpeg_orient"])
def test_the_upright_mask_of_a_turned_image_marks_its_blob(build_case, load, variant):
    test = load(build_case("tiff", variant), channels=3).test
    bad = test.labels == 1
    red = test.images[bad][..., 0]
    assert red[test.masks[bad] == 1].mean() > 230
    assert red[test.masks[bad] == 0].mean() < 150


@pytest.mark.parametrize("kind", ["tif", "jpg"])
def test_a_mask_in_the_stored_direction_of_a_turned_image_is_refused(build_case, load, kind):
    folder = build_case("tiff_mask_unturned", kind)
    with pytest.raises(
        UserError, match=r"6 unreadable images.*48x40 pixels, but its image has 40x"
    ):
        load(folder)


def test_a_folder_with_the_names_sizes_and_times_of_another_gets_its_own_pixels(build_case, load):
    folder = build_case("same_stat_other_pixels")
    dark, bright = load(folder / "A", image_size=8), load(folder / "B", image_size=8)
    assert dark.train.images.mean() == pytest.approx(60, abs=3)
    assert bright.train.images.mean() == pytest.approx(200, abs=3)
    assert dark.fingerprint != bright.fingerprint


def test_two_files_that_swap_their_classes_are_prepared_anew(build_case, load):
    folder = build_case("same_stat_other_pixels") / "A"
    before = load(folder)
    subprocess.run([sys.executable, "swap.py", str(folder)], cwd=CASES, check=True, timeout=60)
    assert load(folder).fingerprint != before.fingerprint


def test_images_that_are_turned_in_place_through_their_tag_are_seen_turned(build_case, load):
    upright = load(build_case("exif_in_place")).train.images.astype(float)
    turned = load(build_case("exif_in_place", "turn")).train.images.astype(float)
    assert upright[:, :20].mean() < upright[:, 20:].mean() - 50
    assert turned[:, 20:].mean() < turned[:, :20].mean() - 50


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("bits", [10, 12])
def test_a_sensor_with_few_bits_is_refused_or_read_through_its_window(build_case, load, bits, kind):
    folder = build_case("sixteen", bits, kind)
    with pytest.raises(
        UserError, match=r"largest value is \d+, .*--config.data.intensity=window:0,"
    ):
        load(folder)
    for intensity in (f"window:0,{2**bits - 1}", "percentile:0,100"):
        train = load(folder, intensity=intensity).train
        assert len(np.unique(train.images)) > 100
        assert np.ptp(train.images) > 100


def test_integers_with_32_bits_are_never_black(build_case, load):
    folder = build_case("tiff", "int32")
    with pytest.raises(UserError, match=r"largest value is \d+, .*window:0,\d+ "):
        load(folder)
    assert load(folder, intensity="window:0,255").train.images.mean() > 80


@pytest.mark.parametrize("variant", ["ksdd", "ksdd2", "isic", "realiad", "upper"])
def test_masks_beside_the_images_are_used_as_masks_and_not_as_images(build_case, load, variant):
    dataset = load(build_case("masks_beside", variant))
    num_normals = sum(len(getattr(dataset, role)) for role in ("train", "val", "calibration"))
    assert num_normals + (dataset.test.labels == 0).sum() == 30
    bad = dataset.test.labels == 1
    assert bad.sum() == 10
    assert dataset.test.has_mask[bad].all()
    # The model sees the central 48x48 pixels at 40x40; the blob has 109 pixels.
    assert np.abs(dataset.test.masks[bad].sum(axis=(1, 2)) - 109 * (40 / 48) ** 2).max() < 12


@pytest.mark.parametrize(("variant", "area"), [("levels", 264), ("voc", 264), ("red", 64)])
def test_every_marked_pixel_of_a_mask_counts(build_case, load, variant, area):
    test = load(build_case("levels", variant), image_size=48).test
    assert (test.masks[test.labels == 1].sum(axis=(1, 2)) == area).all()


def test_images_of_all_formats_that_pillow_reads_are_used(build_case, load):
    folder = build_case("suffixes")
    dataset = load(folder)
    roles = [getattr(dataset, role) for role in ("train", "val", "calibration", "test")]
    files = [file for role in roles for file in role.files]
    assert sorted(files) == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    assert set(dataset.test.classes) == {"good", "bad", "dent"}


def test_two_images_with_one_mask_are_refused(build_case, load):
    folder = build_case("stems")
    with pytest.raises(UserError, match=r"000\.png may belong to bad/000\.jpg and to bad/000\.png"):
        load(folder)


@pytest.mark.parametrize("size", [(7, 100), (100, 7), (5, 5)])
def test_jpegs_with_a_side_below_8_pixels_are_read(build_case, load, size):
    assert load(build_case("tiny_jpeg", *size)).test.labels.sum() == 6


def test_colours_that_cannot_be_converted_are_refused_before_they_are_prepared(build_case, load):
    with pytest.raises(UserError, match=r"36 unreadable images: .*colours of the kind LAB"):
        load(build_case("tiff", "lab"))
