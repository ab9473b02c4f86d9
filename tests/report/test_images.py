import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.report import images


def test_grey_becomes_three_equal_channels_and_values_outside_the_range_are_clipped():
    pixels = images.to_rgb(np.array([-0.5, 0.0, 0.5, 1.0, 2.0]).reshape(1, 1, 5, 1))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[0, 0].T, [[0, 0, 128, 255, 255]] * 3)


def test_colour_images_keep_their_channels():
    x = np.random.default_rng(0).uniform(size=(2, 3, 4, 3))
    np.testing.assert_array_equal(images.to_rgb(x), np.rint(255 * x))


def test_mosaic_fills_rows_from_the_left_and_leaves_the_remaining_space_white():
    squares = np.arange(5, dtype=np.uint8).repeat(4 * 3).reshape(5, 2, 2, 3)
    sheet = images.make_mosaic(squares, columns=3, gap=1)
    assert sheet.shape == (5, 8, 3)
    for i in range(5):
        top, left = 3 * (i // 3), 3 * (i % 3)
        assert (sheet[top : top + 2, left : left + 2] == i).all()
    assert (sheet[3:, 6:] == 255).all()
    assert (sheet[2] == 255).all()
    assert (sheet[:, 2] == 255).all()


def test_png_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    decoded = Image.open(io.BytesIO(images.encode_png(pixels[:, ::-1])))
    np.testing.assert_array_equal(np.asarray(decoded), pixels[:, ::-1])


def test_colour_of_an_error_does_not_depend_on_the_other_errors():
    calm, wild = np.full((4, 4), 0.1), np.full((4, 4), 0.1)
    wild[0, 0] = 50.0
    colours = [images.colour_errors(errors, 0.3)[2, 2] for errors in (calm, wild)]
    np.testing.assert_array_equal(*colours)


def test_errors_beyond_the_ends_of_the_scale_have_the_colours_of_the_ends():
    errors = np.array([[-1.0, 0.0, 0.3, 99.0]])
    colours = ["#" + colour.tobytes().hex() for colour in images.colour_errors(errors, 0.3)[0]]
    first, *_, last = images.list_scale_colours()
    assert colours == [first, first, last, last]


@pytest.mark.parametrize("num", [2, 16])
def test_scale_becomes_brighter_from_end_to_end(num):
    colours = [bytes.fromhex(colour[1:]) for colour in images.list_scale_colours(num)]
    luminance = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in colours]
    assert len(colours) == num
    assert luminance == sorted(luminance)
