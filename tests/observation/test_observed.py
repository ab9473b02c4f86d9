import dataclasses

import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import ImagesOnDisk, zero_outside_region
from vae_jax.data.region import Region
from vae_jax.errors import UserError
from vae_jax.observation import observed as observed_lib
from vae_jax.observation.fitted_observers import fit_observers
from vae_jax.observation.observed import (
    ROLES,
    get_inputs,
    observe_dataset,
    observe_images,
    select_inputs,
)
from vae_jax.observation.store import ObservationStore


class UnreadableImages(ImagesOnDisk):
    """Images that fail the test that reads them."""

    def _read(self, rows):
        raise AssertionError("these images must not be read")


def make_examples(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 1), np.uint8)
    return Examples(
        images=images,
        labels=np.zeros(count, np.int32),
        classes=["good"] * count,
        files=[f"{seed}/{i}.png" for i in range(count)],
        groups=[f"{seed}/{i}" for i in range(count)],
        stored_size=np.full((count, 3), 16, np.int32),
        has_mask=np.zeros(count, bool),
    )


@pytest.fixture(scope="module")
def dataset():
    counts = zip(ROLES, (70, 5, 4, 6), strict=True)
    roles = {role: make_examples(count, i) for i, (role, count) in enumerate(counts)}
    return Dataset("noise", "abc", 16, 1, **roles)


@pytest.fixture
def config(tmp_path):
    config = default()
    config.data.dir = str(tmp_path)
    config.model.observations = ("bands",)
    config.model.band_size = 32
    return config


def list_files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_training_normals_have_mean_0_and_deviation_1_at_every_place(dataset, config):
    bands = observe_dataset(dataset, config).train.observed.arrays["bands"].astype(np.float64)
    assert bands.shape == (70, 4, 4, 6)
    np.testing.assert_allclose(bands.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(bands.std(axis=0), 1, atol=1e-3)


def test_images_in_memory_are_observed_as_those_of_the_dataset_and_not_written(
    dataset, config, tmp_path
):
    observed = observe_dataset(dataset, config)
    before = list_files(tmp_path)
    observers = fit_observers(dataset.train.images, config)
    for role in ("val", "test"):
        examples = getattr(observed, role)
        ours = observe_images(examples.images, observers)
        assert ours.arrays.keys() == examples.observed.arrays.keys() == {"bands"}
        for name, values in ours.arrays.items():
            np.testing.assert_array_equal(values, examples.observed.arrays[name])
        np.testing.assert_array_equal(ours.content_index, examples.observed.content_index)
    other = 255 - dataset.test.images
    assert len(observe_images(other, observers)) == len(other)
    assert list_files(tmp_path) == before


def test_standardisers_are_the_same_when_they_are_fitted_again(dataset, config):
    first, second = (fit_observers(dataset.train.images, config) for _ in range(2))
    for name, standardiser in first[0].standardisers.items():
        np.testing.assert_array_equal(standardiser.mean, second[0].standardisers[name].mean)
        np.testing.assert_array_equal(
            standardiser.deviation, second[0].standardisers[name].deviation
        )


def test_only_the_named_roles_and_the_training_normals_are_read(dataset, config):
    unreadable = UnreadableImages.from_parts([dataset.test.images])
    hidden = dataclasses.replace(dataset, test=dataclasses.replace(dataset.test, images=unreadable))
    observed = observe_dataset(hidden, config, ("val",))
    assert observed.val.observed is not None
    assert observed.test.observed is None
    expected = observe_dataset(dataset, config).val.observed.arrays["bands"]
    np.testing.assert_array_equal(observed.val.observed.arrays["bands"], expected)


def test_copies_follow_the_training_images_and_do_not_change_how_they_are_standardised(
    dataset, config
):
    plain = observe_dataset(dataset, config).train.observed
    config.model.augmented_copies = 2
    config.augment.brightness = 0.5
    with_copies = observe_dataset(dataset, config).train.observed
    assert len(with_copies) == 3 * len(plain)
    for name, values in plain.arrays.items():
        np.testing.assert_array_equal(with_copies.arrays[name][: len(plain)], values)
        assert not np.array_equal(with_copies.arrays[name][len(plain) : 2 * len(plain)], values)


def test_a_model_of_pixels_alone_observes_nothing(dataset, config):
    config.model.observations = ("pixels",)
    assert observe_dataset(dataset, config) is dataset
    assert fit_observers(dataset.train.images, config) == []
    assert observe_images(dataset.val.images, []) is None


def test_a_folder_that_cannot_be_written_is_named(dataset, config, tmp_path):
    (tmp_path / "vae_jax_observations").write_text("a file, not a folder")
    with pytest.raises(
        UserError, match=r"observations cannot be written to .*vae_jax_observations"
    ):
        observe_dataset(dataset, config)


def test_copies_are_those_of_the_seed_and_only_training_images_have_any(dataset, config):
    config.model.augmented_copies, config.augment.brightness = 1, 0.5
    first, again = (observe_dataset(dataset, config) for _ in range(2))
    for role in ROLES:
        ours, others = (getattr(observed, role).observed for observed in (first, again))
        assert len(ours) == len(getattr(dataset, role)) * (2 if role == "train" else 1)
        np.testing.assert_array_equal(ours.arrays["bands"], others.arrays["bands"])
        np.testing.assert_array_equal(ours.content_index, others.content_index)
    config.seed = 1
    other = observe_dataset(dataset, config).train.observed
    copies = slice(len(dataset.train), None)
    assert not (other.content_index[copies] == first.train.observed.content_index[copies]).any()


def test_copies_of_images_on_disk_are_black_outside_the_region(dataset, config, monkeypatch):
    mask = np.zeros((16, 16), bool)
    mask[4:12, 2:14] = True
    stored = zero_outside_region(ImagesOnDisk.from_parts([dataset.train.images]), mask)
    train = dataclasses.replace(dataset.train, images=stored)
    config.model.augmented_copies, config.augment.rotation = 1, 45.0
    observed_images = []
    observe = ObservationStore.observe
    monkeypatch.setattr(
        ObservationStore,
        "observe",
        lambda store, images: observed_images.append(images) or observe(store, images),
    )
    data = dataclasses.replace(dataset, train=train, region=Region(mask))
    observed = observe_dataset(data, config, ("train",)).train.observed
    assert len(observed) == 140
    copies = observed_images[-1]
    assert copies.shape == (70, 16, 16, 1)
    assert not copies[:, ~mask].any()
    assert copies[:, mask].any(axis=1).all()


def test_standardisation_does_not_depend_on_validation_and_calibration_images(dataset, config):
    expected = observe_dataset(dataset, config)
    dark = dataset.train.take(np.arange(5))
    dark = dataclasses.replace(dark, images=dark.images // 9)
    others = {"val": dark, "calibration": dark}
    changed = observe_dataset(dataclasses.replace(dataset, **others), config)
    for role in ("train", "test"):
        np.testing.assert_array_equal(
            getattr(changed, role).observed.arrays["bands"],
            getattr(expected, role).observed.arrays["bands"],
        )


def test_an_image_has_the_same_number_in_every_role_and_order(dataset, config):
    observed = observe_dataset(dataset, config).test.observed
    order = np.array([3, 0, 5])
    test = dataset.test.take(order)
    other = observe_dataset(dataclasses.replace(dataset, val=test), config).val.observed
    np.testing.assert_array_equal(other.content_index, observed.content_index[order])
    np.testing.assert_array_equal(other.arrays["bands"], observed.arrays["bands"][order])
    taken = observed.take(order)
    np.testing.assert_array_equal(taken[:]["bands"], other.arrays["bands"])


def test_inputs_of_a_model_are_observations_or_for_pixels_the_images(dataset, config):
    assert get_inputs(dataset.val) is dataset.val.images
    assert select_inputs(dataset.val.images, "pixels") is dataset.val.images
    val = observe_dataset(dataset, config).val
    assert get_inputs(val) is val.observed
    assert select_inputs(val.observed, "bands") is val.observed.arrays["bands"]


def test_copies_that_do_not_fit_into_memory_are_refused_with_both_numbers(
    dataset, config, monkeypatch
):
    config.model.augmented_copies = 2
    size = 2 * dataset.train.images.nbytes
    monkeypatch.setattr(observed_lib, "measure_available_bytes", lambda: size - 1)
    with pytest.raises(UserError, match=r"lower model\.augmented_copies \(it is 2\)"):
        observe_dataset(dataset, config)
