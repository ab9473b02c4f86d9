import dataclasses

import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.errors import UserError
from vae_jax.observation.fitted_observers import fit_observers
from vae_jax.observation.observed import ROLES, observe_dataset, observe_images


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
        ours = observe_images(examples.images, observers, config.model)
        assert ours.arrays.keys() == examples.observed.arrays.keys() == {"bands"}
        for name, values in ours.arrays.items():
            np.testing.assert_array_equal(values, examples.observed.arrays[name])
        np.testing.assert_array_equal(ours.content_index, examples.observed.content_index)
    other = 255 - dataset.test.images
    assert len(observe_images(other, observers, config.model)) == len(other)
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
    assert observe_images(dataset.val.images, [], config.model) is None


def test_a_folder_that_cannot_be_written_is_named(dataset, config, tmp_path):
    (tmp_path / "vae_jax_observations").write_text("a file, not a folder")
    with pytest.raises(
        UserError, match=r"observations cannot be written to .*vae_jax_observations"
    ):
        observe_dataset(dataset, config)
