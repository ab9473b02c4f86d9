import io

import numpy as np
from PIL import Image

from vae_jax.report import images as report_images
from vae_jax.report.evaluation import case_figures


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_every_error_map_is_on_the_one_scale(gallery):
    limit = gallery.error_limit
    for cases in (gallery.normals, gallery.anomalies, gallery.best, gallery.worst):
        shown = [_pixels(error) for _, _, error in case_figures.tiles(cases, limit)]
        for pixels, error in zip(shown, cases.error_maps, strict=True):
            np.testing.assert_array_equal(pixels, report_images.colour_errors(error, limit))


def test_colour_of_an_error_does_not_depend_on_its_image():
    dark, bright = np.full((4, 4), 0.1), np.full((4, 4), 0.1)
    bright[0, 0] = 50.0
    colours = [report_images.colour_errors(m, 0.3)[2, 2] for m in (dark, bright)]
    np.testing.assert_array_equal(*colours)


def test_scale_runs_from_zero_to_the_limit_and_stays_there():
    ends = report_images.colour_errors(np.array([[0.0, 0.3, 99.0]]), 0.3)[0]
    first, *_, last = report_images.list_scale_colours()
    assert ["#" + end.tobytes().hex() for end in ends] == [first, last, last]


def test_tiles_of_large_images_show_mean_errors(gallery):
    side = 3 * report_images.TILE
    error = np.zeros((1, side, side))
    error[0, 0, 0] = 0.9
    image = np.zeros((1, side, side, 3))
    cases = type(gallery.normals)(image, image, error, ["one"], np.ones(1))
    [(x, _, shown)] = case_figures.tiles(cases, 0.3)
    assert _pixels(x).shape == (report_images.TILE, report_images.TILE, 3)
    # One pixel of nine: 0.9 / 9, and not a ninth of a clipped colour.
    expected = report_images.colour_errors(np.array([[0.1]]), 0.3)[0, 0]
    np.testing.assert_array_equal(_pixels(shown)[0, 0], expected)


def test_tile_of_a_grey_image_keeps_its_pixels(gallery):
    x, _, _ = case_figures.tiles(gallery.normals, 0.3)[0]
    expected = np.rint(gallery.normals.images[0] * 255).astype(np.uint8)
    np.testing.assert_array_equal(_pixels(x), np.repeat(expected, 3, -1))


def test_mosaic_fills_rows_from_the_left_and_leaves_the_rest_white():
    images = np.arange(5, dtype=np.uint8).repeat(4 * 3).reshape(5, 2, 2, 3)
    sheet = report_images.make_mosaic(images, columns=3, gap=1)
    assert sheet.shape == (5, 8, 3)
    assert sheet[3, 3, 0] == 4
    assert (sheet[3:, 6:] == 255).all()


def test_sheet_and_samples_are_large_enough_to_be_looked_at(gallery):
    for drawing in (
        case_figures.sheet("normals", "Normal images", gallery.normals, 0.3),
        case_figures.samples(gallery.samples, 0),
    ):
        assert _pixels(drawing.png).shape[1] >= 800
