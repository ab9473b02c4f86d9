"""An image that is not square becomes a square: what is visible, where, and the same for image and mask."""

import numpy as np
import pytest
from PIL import Image

from vae_jax.data.squaring import cut_centre, fit_square, spread_over_part
from vae_jax.validate import FRAMINGS

# Wide, high, square, as large as the square, one pixel wide.
SIZES = [(90, 30), (30, 90), (50, 50), (24, 24), (24, 9), (7, 5), (1, 40)]
SIDE = 24


def make_image(width, height, mode="L"):
    """Returns an image whose values are at least 1, so that no pixel is as black as the padding."""
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    values = np.random.default_rng(0).integers(1, 256, shape)
    return Image.fromarray(values.astype(np.float32 if mode == "F" else np.uint8))


def square(image, framing, crop=1.0, resampling=Image.Resampling.BILINEAR):
    return np.asarray(fit_square(cut_centre(image, crop, framing), SIDE, framing, resampling))


@pytest.mark.parametrize("mode", ["L", "RGB", "F"])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", SIZES)
def test_every_image_becomes_a_square_of_the_same_kind(size, framing, mode):
    image = make_image(*size, mode)
    pixels = square(image, framing)
    assert pixels.shape[:2] == (SIDE, SIDE)
    assert pixels.dtype == np.asarray(image).dtype
    assert pixels.ndim == np.asarray(image).ndim


@pytest.mark.parametrize("crop", [1.0, 0.6])
@pytest.mark.parametrize("size", [(50, 50), (24, 24), (25, 25)])
def test_all_framings_agree_on_a_square_image(size, crop):
    image = make_image(*size)
    first, *others = (square(image, framing, crop) for framing in FRAMINGS)
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("size", SIZES)
def test_stretching_is_a_resize_of_the_whole_image(size):
    image = make_image(*size)
    expected = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(square(image, "stretch"), expected)


@pytest.mark.parametrize("size", SIZES)
def test_padding_keeps_the_aspect_ratio_centred_on_black(size):
    image = make_image(*size)
    pixels = square(image, "pad")
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    inside = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = inside.shape
    assert max(height, width) == SIDE
    assert min(height, width) == max(1, round(SIDE * min(size) / max(size)))
    expected = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(inside, expected)
    for first, last in ((rows[0], rows[-1]), (columns[0], columns[-1])):
        assert (SIDE - 1 - last) - first in (0, 1)


@pytest.mark.parametrize("size", SIZES)
def test_the_central_square_does_not_depend_on_what_is_outside_it(size):
    pixels = np.asarray(make_image(*size)).copy()
    expected = square(Image.fromarray(pixels), "crop")
    height, width = pixels.shape
    outside = np.ones(pixels.shape, bool)
    side = min(size)
    top, left = (height - side) // 2, (width - side) // 2
    outside[top : top + side, left : left + side] = False
    pixels[outside] = 255 - pixels[outside]
    np.testing.assert_array_equal(square(Image.fromarray(pixels), "crop"), expected)


@pytest.mark.parametrize("framing", ["stretch", "pad"])
@pytest.mark.parametrize("size", [(90, 30), (30, 90), (60, 50)])
def test_a_crop_first_cuts_the_central_part_in_the_images_own_shape(size, framing):
    image = make_image(*size)
    width, height = (side * 2 // 5 * 2 for side in size)  # 0.8, with an even border
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    centre = image.crop((left, top, left + width, top + height))
    assert cut_centre(image, 0.8, framing).size == (width, height)
    np.testing.assert_array_equal(square(image, framing, 0.8), square(centre, framing))


@pytest.mark.parametrize("crop", [1.0, 0.7])
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [(120, 48), (48, 120), (72, 72)])
def test_a_mark_is_at_the_same_place_in_image_and_mask(size, framing, crop):
    pixels = np.ones((size[1], size[0]), np.uint8)
    rows, columns = size[1] * 5 // 8, size[0] * 3 // 8
    pixels[rows - 6 : rows + 6, columns - 6 : columns + 6] = 255
    image = Image.fromarray(pixels)
    in_image = square(image, framing, crop) > 128
    in_mask = square(image, framing, crop, Image.Resampling.NEAREST) > 128
    assert in_mask.any()
    # The border of the mark is smoothed in the image alone.
    border = in_image ^ in_mask
    assert border.sum() <= 2 * (in_mask.any(0).sum() + in_mask.any(1).sum())
    np.testing.assert_allclose(
        np.argwhere(in_image).mean(0), np.argwhere(in_mask).mean(0), atol=0.75
    )


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [(96, 48), (48, 96), (72, 72)])
def test_a_mask_of_the_square_is_spread_over_the_part_that_the_square_shows(size, framing):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[8:14, 8:11] = True
    part = cut_centre(make_image(*size), 1.0, framing)
    spread = spread_over_part(mask, *part.size, framing)
    assert spread.shape == (part.height, part.width)
    again = fit_square(Image.fromarray(spread), SIDE, framing, Image.Resampling.NEAREST)
    np.testing.assert_array_equal(np.asarray(again), mask)
