import zlib

import numpy as np
import pytest

from tests.conftest import make_examples
from tests.small_runs import write_images
from vae_jax.config import default
from vae_jax.data.binarise import binarise
from vae_jax.data.image_store import ImagesOnDisk, binarise_images, join_images
from vae_jax.data.pipeline import load_dataset
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.estimator_data import make_dataset


def test_a_pixel_is_white_with_the_probability_of_its_grey_value():
    levels = np.array([0, 1, 64, 128, 200, 254, 255], np.uint8)
    binary = binarise(np.broadcast_to(levels[:, None, None, None], (7, 200, 200, 1)))
    assert set(np.unique(binary)) == {0, 255}
    shares = (binary == 255).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(shares, levels / 255, atol=5 * 0.5 / 200)
    assert shares[0] == 0
    assert shares[-1] == 1


def test_the_draw_is_the_same_on_every_machine_and_with_every_version_of_numpy():
    images = np.arange(3 * 5 * 7, dtype=np.uint8).reshape(3, 5, 7, 1) * 2
    assert zlib.crc32(binarise(images).tobytes()) == 1_702_116_931


def test_an_image_becomes_the_same_in_any_set_in_memory_and_on_disk():
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 5, 1)).astype(np.uint8)
    binary = binarise(images)
    np.testing.assert_array_equal(binarise(images[2:4]), binary[2:4])
    stored = binarise_images(ImagesOnDisk.from_parts([images]))
    np.testing.assert_array_equal(stored[[4, 1]], binary[[4, 1]])
    np.testing.assert_array_equal(join_images([stored, stored])[6:], binary)
    with pytest.raises(ValueError, match="all or none of them must be binary"):
        join_images([stored, ImagesOnDisk.from_parts([images])])


def test_different_images_have_independent_draws():
    grey = np.full((2, 100, 100, 1), 128, np.uint8)
    grey[1, 0, 0] = 129
    first, second = binarise(grey) == 255
    assert abs((first == second).mean() - 0.5) < 0.03


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of 32 grey discs and 8 grey rings."""
    folder = tmp_path_factory.mktemp("binarise") / "images"
    write_images(folder, make_examples("all", 40, 0, anomalies=8))
    return folder


@pytest.mark.parametrize("protocol", ["", "static", "dynamic"])
def test_all_roles_are_binary_and_training_keeps_greys_only_to_draw_anew(folder, protocol):
    data = default().data
    data.update(dataset="folder", manual_dir=str(folder), dir=str(folder.parent / "prepared"))
    data.update(image_size=12, anomaly_classes=(), binarise=protocol, roi="ellipse")
    dataset = load_dataset(data, 0)
    for role in ("train", "val", "calibration", "test"):
        images = getattr(dataset, role).images[:]
        assert (set(np.unique(images)) == {0, 255}) == bool(protocol)
    assert dataset.preprocessing.is_binary == bool(protocol)
    assert (dataset.train.grey is not None) == (protocol == "dynamic")
    assert dataset.val.grey is None
    if protocol == "dynamic":
        np.testing.assert_array_equal(binarise(dataset.train.grey[:]), dataset.train.images)
    # Predictions and labelled new images read a file by the same steps.
    for row, file in enumerate(dataset.test.files):
        crops = dataset.preprocessing.apply((folder / file).read_bytes(), file)
        np.testing.assert_array_equal(crops.images, dataset.test.images[row : row + 1])


@pytest.mark.parametrize("protocol", ["static", "dynamic"])
def test_arrays_of_the_estimator_are_binary_in_training_and_in_predictions(protocol):
    config = default()
    config.data.update(image_size=8, binarise=protocol)
    rows = make_examples("all", 40, 0).images.reshape(40, 64)
    groups = [str(i) for i in range(40)]
    dataset = make_dataset(config, rows, (8, 8, 1), groups, (0, 255))
    for role in ("train", "val", "calibration"):
        assert set(np.unique(getattr(dataset, role).images)) == {0, 255}
    assert (dataset.train.grey is not None) == (protocol == "dynamic")
    preprocessing = dataset.preprocessing
    assert isinstance(preprocessing, Preprocessing)
    assert preprocessing.is_binary
    grey = rows.reshape(40, 8, 8, 1)
    np.testing.assert_array_equal(preprocessing.finish(grey), binarise(grey))
