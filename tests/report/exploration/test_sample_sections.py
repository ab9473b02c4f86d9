import numpy as np
import pytest

from vae_jax.exploration.class_samples import ClassSamples
from vae_jax.exploration.neighbours import Memorisation, Neighbours
from vae_jax.report.exploration import sample_sections
from vae_jax.report.exploration.sample_sections import (
    make_memorisation_section,
    make_reconstruction_section,
    make_sample_section,
)


@pytest.fixture
def rows(record_drawings):
    """Arguments of the calls of `draw_image_rows`."""
    return record_drawings(sample_sections, "draw_image_rows")


@pytest.fixture
def grids(record_drawings):
    """Arguments of the calls of `draw_image_grids`."""
    return record_drawings(sample_sections, "draw_image_grids")


def make_class_samples(num_classes, *, from_test=False, by_label=False):
    return ClassSamples(
        np.zeros((num_classes, 2, 8, 8, 1), np.float32),
        [f"c{i}" for i in range(num_classes)],
        [from_test] * num_classes,
        by_label,
    )


def make_section(class_samples):
    images = np.zeros((3, 8, 8, 1), np.float32)
    samples = {"prior": images + np.float32(0.5), "mixture": images}
    return make_sample_section(
        samples, images[:2], np.full((2, 8, 8, 1), 255, np.uint8), class_samples
    )


def test_samples_of_the_first_density_are_compared_with_as_many_real_images(rows, grids):
    make_section(make_class_samples(2))
    _, title, compared, _, _ = grids[1]
    assert title == "Samples, reconstructions and test images, 2 of each"
    assert [heading for heading, _ in compared] == [
        "samples: prior", "reconstructions of test images", "test images",
    ]  # fmt: skip
    assert [images.mean() for _, images in compared] == [0.5, 0, 1]
    assert [len(images) for _, images in compared] == [2, 2, 2]


def test_samples_that_hardly_differ_are_called_so():
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (6, 8, 8, 1)).astype(np.uint8)
    reconstructions = real / np.float32(255)
    for deviation, is_named in ((0.001, True), (0.3, False)):
        samples = rng.normal(0.5, deviation, (6, 8, 8, 1)).astype(np.float32)
        section = make_sample_section(
            {"prior": samples}, reconstructions, real, make_class_samples(2)
        )
        assert any("hardly different" in text for text in section.text) == is_named


def test_the_caption_counts_classes_that_are_not_shown(rows, grids):
    make_section(make_class_samples(23))
    _, _, images, labels, caption = rows[0]
    assert len(images) == len(labels) == 20
    assert caption.endswith("3 more classes are not shown.")


def test_the_caption_explains_the_mark_of_classes_without_training_images(rows, grids):
    make_section(make_class_samples(1, from_test=True))
    _, _, _, labels, caption = rows[0]
    assert labels == ["c0 (test)"]
    assert "the mark (test) have no training images" in caption


def test_the_caption_explains_the_columns_of_a_conditional_model(rows, grids):
    make_section(make_class_samples(2, by_label=True))
    assert rows[0][-1].startswith("The decoder is given the class of the row.")


def test_images_are_above_their_reconstructions_and_long_class_names_are_shortened(rows):
    images = np.full((2, 8, 8, 1), 255, np.uint8)
    reconstructions = np.zeros((2, 8, 8, 1), np.float32)
    make_reconstruction_section(images, reconstructions, ["cat", "dyed-lifted-polyps"])
    _, _, shown, labels, _, columns = rows[0]
    assert labels == ["image", "reconstruction", "error"]
    np.testing.assert_array_equal(shown[:2, :, 0, 0, 0], [[1, 1], [0, 0]])
    assert columns == ["cat", "dyed-lift…"]


def test_the_samples_nearest_to_training_images_come_first(rows):
    samples = np.array([0.3, 0.1, 0.2], np.float32)[:, None, None, None] * np.ones((1, 8, 8, 1))
    train = np.array([0, 51, 102], np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    memorisation = Memorisation(
        Neighbours(np.array([2, 0, 1]), np.array([0.1, 0.05, 0.02])),
        test=np.array([0.2, 0.4]),
        reconstructions=np.array([0.3, 0.5]),
    )
    section = make_memorisation_section(memorisation, samples.astype(np.float32), train)
    _, _, shown, _, _, columns = rows[0]
    np.testing.assert_allclose(shown[:, :, 0, 0, 0], [[0.2, 0.1, 0.3], [0.2, 0, 0.4]], rtol=1e-6)
    assert columns == ["0.02000", "0.05000", "0.1000"]
    (text,) = section.text
    assert "0.05000 for the 3 samples, 0.3000 for 2 normal test images, and 0.4000 for" in text
    assert "100.0 % of the samples are nearer to a training image" in text


def test_errors_and_masks_stand_below_the_reconstructions(rows):
    images, masks = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.uint8)
    images[0, 2:4, 2:4] = 255
    masks[0, 2:4, 2:4] = 1
    reconstructions = np.zeros((2, 8, 8, 3), np.float32)
    make_reconstruction_section(images, reconstructions, ["a", "b"], masks)
    _, _, shown, labels, _, _ = rows[0]
    assert labels == ["image", "reconstruction", "error", "mask"]
    np.testing.assert_array_equal(shown[3, ..., 0], masks)
    brightness = shown[2].mean(axis=-1)
    assert brightness[0][masks[0] == 1].min() > brightness[0][masks[0] == 0].max()
    assert brightness[1].max() < 0.1
