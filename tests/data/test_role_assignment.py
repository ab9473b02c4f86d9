import collections
import logging

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import pipeline
from vae_jax.data.whole_images import list_tiles_of_images, take_whole_images

ROLES = ("train", "val", "calibration", "test")


@pytest.fixture
def tiled_folder(tmp_path):
    """A folder of images of several sizes; every dent is a bright square, marked by a mask."""
    rng = np.random.default_rng(0)
    root = tmp_path / "own"
    for kind, count in (("good", 40), ("dent", 6)):
        (root / kind).mkdir(parents=True)
        (root / "ground_truth" / kind).mkdir(parents=True)
        for i in range(count):
            size = (12 + i % 3 * 5, 40 - i % 4 * 6)
            pixels = rng.integers(0, 200, (*size, 3), np.uint8)
            if kind == "dent":
                mask = np.zeros(size, np.uint8)
                mask[-3:, -3:] = 255
                pixels[mask > 0] = 255
                Image.fromarray(mask).save(root / "ground_truth" / kind / f"{i}_mask.png")
            Image.fromarray(pixels).save(root / kind / f"{i}.png")
    return root


@pytest.fixture
def tiled_config(data_config, tiled_folder):
    data_config.dataset, data_config.manual_dir = "folder", str(tiled_folder)
    data_config.normal_classes, data_config.anomaly_classes = (), ()
    data_config.image_size, data_config.channels = 8, 3
    data_config.framing, data_config.tile_size = "tiles", 10
    return data_config


def test_all_tiles_of_an_image_have_one_role_and_one_label(tiled_config):
    dataset = pipeline.load_dataset(tiled_config, seed=0)
    roles_of_file = collections.defaultdict(set)
    for role in ROLES:
        examples = getattr(dataset, role)
        assert len(examples) > len(take_whole_images(examples)) > 0
        for file, label in zip(examples.files, examples.labels, strict=True):
            roles_of_file[file].add((role, int(label)))
    assert len(roles_of_file) == 46
    assert all(len(roles) == 1 for roles in roles_of_file.values())
    assert {file for file, roles in roles_of_file.items() if roles == {("test", 1)}} == {
        f"dent/{i}.png" for i in range(6)
    }


def test_fractions_are_shares_of_images_and_not_of_tiles(tiled_config):
    tiled_config.val_fraction = tiled_config.calibration_fraction = 0.25
    tiled_config.test_fraction = 0.25
    dataset = pipeline.load_dataset(tiled_config, seed=0)
    counts = {role: len(take_whole_images(getattr(dataset, role))) for role in ROLES}
    assert counts == {"train": 10, "val": 10, "calibration": 10, "test": 16}


def test_roles_do_not_depend_on_the_tiles(tiled_config):
    first = pipeline.load_dataset(tiled_config, seed=0)
    tiled_config.tile_stride = 10
    second = pipeline.load_dataset(tiled_config, seed=0)
    tiled_config.framing, tiled_config.tile_stride = "stretch", 0
    whole = pipeline.load_dataset(tiled_config, seed=0)
    assert len(second.train) < len(first.train)
    for role in ROLES:
        files = set(getattr(whole, role).files)
        assert set(getattr(first, role).files) == set(getattr(second, role).files) == files


def test_a_balanced_test_has_as_many_whole_images_of_either_kind(tiled_config):
    tiled_config.balanced_test = True
    test = take_whole_images(pipeline.load_dataset(tiled_config, seed=0).test)
    assert np.bincount(test.labels).tolist() == [6, 6]


def test_a_tile_of_an_abnormal_image_is_abnormal_whatever_its_mask_shows(tiled_config):
    test = pipeline.load_dataset(tiled_config, seed=0).test
    dents = test.labels == 1
    marked = test.masks[:].any((1, 2))
    assert marked[dents].any()
    assert not marked[dents].all()
    assert not marked[~dents].any()
    images = take_whole_images(test)
    for rows in list_tiles_of_images(test, np.flatnonzero(images.labels == 1)):
        assert marked[rows].any()


def test_near_duplicates_are_found_among_whole_images(tiled_folder, tiled_config, caplog):
    scene = np.asarray(Image.open(tiled_folder / "good/0.png"))
    for copy in range(4):
        brighter = (scene.astype(int) + 10 + copy).clip(0, 255).astype(np.uint8)
        Image.fromarray(brighter).save(tiled_folder / f"good/copy{copy}.png")
    tiled_config.group_near_duplicates = True
    with caplog.at_level(logging.INFO):
        dataset = pipeline.load_dataset(tiled_config, seed=3)
    assert "5 of 44 normal images nearly agree" in caplog.text
    names = {"good/0.png", *(f"good/copy{copy}.png" for copy in range(4))}
    assert [names & set(getattr(dataset, role).files) for role in ROLES].count(names) == 1


def test_tiles_that_cover_a_strip_of_fabric_keep_the_class_of_the_image(make_aitex, aitex_config):
    aitex_config.manual_dir = str(make_aitex())
    aitex_config.framing, aitex_config.tile_stride = "tiles", 0
    dataset = pipeline.load_dataset(aitex_config, seed=0)
    assert set(dataset.test.classes) == {"roll", "defect"}
    assert dataset.test.offsets is None
    defects = [c == "defect" for c in dataset.test.classes]
    np.testing.assert_array_equal(dataset.test.labels == 1, defects)
