import dataclasses

import numpy as np
import pytest

from vae_jax.data.examples import Examples
from vae_jax.data.tiling import compute_boxes
from vae_jax.report.evaluation.whole_cases import draw_large_images, draw_whole_images
from vae_jax.scoring.anomaly_maps import MapScale
from vae_jax.scoring.pictures import Pictures

SIDE = 16
SIZES = [(48, 20), (600, 100), (16, 16)]  # width and height


@pytest.fixture
def wholes():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for width, height in SIZES]


@pytest.fixture
def tiles(wholes):
    """The tiles of three images; the mask of each marks its lower right corner."""
    parts = []
    for number, image in enumerate(wholes):
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[-4:, -4:] = 1
        boxes = compute_boxes(image.shape[1], image.shape[0], SIDE)
        places = [np.s_[y : y + s, x : x + s] for x, y, s in boxes]
        cuts = [np.stack([array[place] for place in places]) for array in (image, mask)]
        parts += [(number, box, *pair) for box, *pair in zip(boxes, *cuts, strict=True)]
    numbers, boxes, images, masks = zip(*parts, strict=True)
    return Examples(
        images=np.stack(images),
        labels=np.ones(len(numbers), np.int32),
        classes=["dent"] * len(numbers),
        files=[f"{number}.png" for number in numbers],
        groups=["a"] * len(numbers),
        stored_size=np.array([(*SIZES[number], 9) for number in numbers], np.int32),
        has_mask=np.ones(len(numbers), bool),
        masks=np.stack(masks),
        boxes=np.stack(boxes),
    )


@pytest.fixture
def pictures():
    """The map is the red value; the reconstruction is the image."""

    def compute(examples):
        x = examples.images[:].astype(np.float32) / 255
        return x, x[..., 0]

    normals = {"map": np.array([0.0, 1.0]).reshape(2, 1, 1) * np.ones((2, SIDE, SIDE))}
    return Pictures("", compute, MapScale.fit([normals], 0.0), 1.0, np.ones(1))


def test_a_small_whole_image_lies_unchanged_in_the_middle_of_a_white_square(
    pictures, tiles, wholes
):
    images, reconstructions, maps, masks = draw_whole_images(pictures, tiles, np.array([0]))
    assert images.shape == reconstructions.shape == (1, 256, 256, 3)
    top, left = (256 - 20) // 2, (256 - 48) // 2
    inner = np.s_[0, top : top + 20, left : left + 48]
    np.testing.assert_allclose(images[inner], wholes[0] / 255, atol=1e-6)
    np.testing.assert_allclose(reconstructions[inner], wholes[0] / 255, atol=1e-6)
    # Half of the values are below the mean of normals, and are shown as 0.
    expected = np.maximum((wholes[0][..., 0] / 255 - 0.5) / 0.5, 0)
    np.testing.assert_allclose(maps[inner], expected, atol=1e-5)
    mask = np.zeros((20, 48), bool)
    mask[-4:, -4:] = True
    np.testing.assert_array_equal(masks[inner], mask)
    outside = np.ones((256, 256), bool)
    outside[inner[1:]] = False
    assert (images[0][outside] == 1).all()
    assert (maps[0][outside] == 0).all()
    assert not masks[0][outside].any()


def test_a_long_image_is_made_smaller_and_keeps_its_shape_and_its_marks(pictures, tiles):
    images, _, maps, masks = draw_whole_images(pictures, tiles, np.array([1, 2]))
    assert images.shape == (2, 256, 256, 3)
    covered = (images[0] < 1).any(2)
    rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
    assert (len(rows), len(columns)) == (round(256 / 6), 256)
    assert masks[0].any()
    assert np.isfinite(maps).all()


def test_without_images_there_are_pictures_of_the_same_shape(pictures, tiles):
    images, reconstructions, maps, masks = draw_whole_images(
        pictures, tiles, np.array([], np.int64)
    )
    assert images.shape == reconstructions.shape == (0, 256, 256, 3)
    assert maps.shape == masks.shape == (0, 256, 256)


def test_a_model_without_reconstructions_and_a_dataset_without_masks_have_none(pictures, tiles):
    pictures = dataclasses.replace(
        pictures, map_name="mse", compute=lambda e, compute=pictures.compute: (None, compute(e)[1])
    )
    tiles = dataclasses.replace(tiles, masks=None)
    _, reconstructions, _, masks = draw_whole_images(pictures, tiles, np.array([0]))
    assert reconstructions is masks is None
    [strip] = draw_large_images(pictures, tiles, np.array([0]))
    assert strip.map_name == "mse"
    assert not strip.mask.any()


def test_an_image_that_is_drawn_alone_keeps_its_shape(pictures, tiles, wholes):
    first, second = draw_large_images(pictures, tiles, np.array([1, 0]))
    assert first.file == "1.png"
    assert first.image.shape == (100, 600, 3)
    np.testing.assert_array_equal(second.image, wholes[0])
    np.testing.assert_allclose(second.values, (wholes[0][..., 0] / 255 - 0.5) / 0.5, atol=1e-5)
    assert second.covered.all()
    assert second.mask.sum() == 16
    assert (second.noun, second.map_name, second.label) == ("image", "error", 1)
