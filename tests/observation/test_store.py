"""The observer of these tests counts the images that it observes."""

import dataclasses
import logging

import numpy as np
import pytest

from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.observation.observers import Observer
from vae_jax.observation.store import ObservationStore


def make_images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 1), np.uint8)


def compute(images):
    """Two arrays that depend on the pixels."""
    values = images.astype(np.float16)
    return {"bands": values, "pooled": values.sum(axis=(2, 3))}


class Counter:
    """An observer of batches of three images, and the images that it has observed."""

    def __init__(self, key="key"):
        self.images = []
        self.observer = Observer("bands", key, 3, self.compute)

    def compute(self, images):
        self.images.extend(image.tobytes() for image in images)
        return compute(images)


@pytest.fixture
def counter():
    return Counter()


def assert_observed(store, images):
    stored = store.observe(images)
    expected = compute(images[:])
    assert stored.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(stored[name][:], values)
        assert stored[name].dtype == np.float16


def test_observations_are_those_of_the_images_in_their_order(tmp_path, counter):
    store, images = ObservationStore(tmp_path, counter.observer), make_images(10)
    assert_observed(store, images)
    assert_observed(store, images[::-1])
    assert_observed(store, images[[7, 7, 0]])
    assert_observed(store, ImagesOnDisk.from_parts([images[:4], images[4:]]).take(np.array([9, 1])))


def test_the_same_pixels_are_observed_once(tmp_path, counter):
    images = make_images(3)
    assert_observed(ObservationStore(tmp_path, counter.observer), images[[0, 1, 0, 2, 1]])
    assert_observed(ObservationStore(tmp_path, counter.observer), images[::-1])
    assert sorted(counter.images) == sorted(image.tobytes() for image in images)


def test_only_new_images_are_observed_and_added(tmp_path, counter):
    images = make_images(9)
    assert_observed(ObservationStore(tmp_path, counter.observer), images[:6])
    counter.images.clear()
    assert_observed(ObservationStore(tmp_path, counter.observer), images[[8, 2, 6, 5, 7]])
    assert set(counter.images) == {image.tobytes() for image in images[6:]}
    assert_observed(ObservationStore(tmp_path, counter.observer), images)
    assert len(counter.images) == 3


def test_images_of_other_shapes_with_the_same_bytes_are_other_images(tmp_path, counter):
    flat = make_images(1)
    counter.observer = dataclasses.replace(
        counter.observer,
        compute=lambda images: {"bands": np.full((len(images), 1), images.shape[1], np.float16)},
    )
    store = ObservationStore(tmp_path, counter.observer)
    for height in (4, 2, 4):
        images = flat.reshape(1, height, -1, 1)
        assert store.observe(images)["bands"][:].item() == height


def test_another_observer_has_a_store_of_its_own(tmp_path, counter):
    images, other = make_images(4), Counter("another key")
    assert_observed(ObservationStore(tmp_path, counter.observer), images)
    assert_observed(ObservationStore(tmp_path, other.observer), images)
    assert len(other.images) >= 4
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("file", ["digests.npy", "bands.npy"])
@pytest.mark.parametrize("damage", ["cut off", "nonsense"])
def test_a_damaged_part_is_made_again(tmp_path, counter, file, damage, caplog):
    images = make_images(5)
    assert_observed(ObservationStore(tmp_path, counter.observer), images)
    (path,) = tmp_path.rglob(file)
    path.write_bytes(path.read_bytes()[:-20] if damage == "cut off" else b"nonsense")
    with caplog.at_level(logging.WARNING):
        assert_observed(ObservationStore(tmp_path, counter.observer), images)
    assert "is damaged and will be made again" in caplog.text
    counter.images.clear()
    assert_observed(ObservationStore(tmp_path, counter.observer), images)
    assert not counter.images


def test_two_writers_of_the_same_images_and_of_others_both_succeed(tmp_path, counter):
    images, other = make_images(8), Counter()
    first = ObservationStore(tmp_path, counter.observer)
    second = ObservationStore(tmp_path, other.observer)
    assert_observed(first, images[:5])
    assert_observed(second, images[:5])  # written by the first after the second was opened
    assert_observed(second, images[3:])
    assert_observed(first, images[2:7])
    counter.images.clear()
    assert_observed(ObservationStore(tmp_path, counter.observer), images)
    assert not counter.images


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, counter):
    store = ObservationStore(tmp_path, counter.observer)
    assert_observed(store, make_images(2))

    def fail(images):
        raise OSError("no space left on device")

    broken = dataclasses.replace(counter.observer, compute=fail)
    with pytest.raises(OSError, match="no space left"):
        ObservationStore(tmp_path, broken).observe(make_images(2, seed=1))
    (folder,) = tmp_path.iterdir()
    assert len(list(folder.iterdir())) == 1
    assert_observed(store, make_images(2))
