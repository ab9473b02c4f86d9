import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.report.evaluation import case_figures
from vae_jax.report.images import colour_errors


def _decode(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("gallery", ["normals", "anomalies", "right", "missed"])
def test_error_maps_of_all_galleries_share_one_scale(report_images, gallery):
    cases, limit = getattr(report_images, gallery), report_images.error_limit
    for tile, error in zip(case_figures.make_tiles(cases, limit), cases.error_maps, strict=True):
        png, _ = tile.pictures[2]
        np.testing.assert_array_equal(_decode(png), colour_errors(error, limit))


def test_tiles_of_large_images_show_the_colour_of_the_mean_error(report_images):
    side = 3 * 240
    errors = np.zeros((1, side, side))
    errors[0, :96:3, :96:3] = 0.9
    images = np.zeros((1, side, side, 3))
    cases = type(report_images.normals)(images, images, errors, ["one"], np.ones(1))
    [tile] = case_figures.make_tiles(cases, 0.3)
    (x, kind), _, (error, _) = tile.pictures
    assert kind == "webp"
    assert _decode(x).shape == (240, 240, 3)
    # One of nine pixels has the error 0.9, so the mean is 0.1.
    expected = colour_errors(np.array([[0.1]]), 0.3)[0, 0]
    # The compression of a large picture changes its colours a little.
    assert abs(_decode(error)[8, 8].astype(int) - expected).max() < 12


def test_tile_of_a_grey_image_keeps_its_pixels(report_images):
    (x, _), (x_hat, _), _ = case_figures.make_tiles(report_images.normals, 0.3)[0].pictures
    cases = report_images.normals
    for png, image in ((x, cases.images[0]), (x_hat, cases.reconstructions[0])):
        expected = np.rint(image * 255).astype(np.uint8)
        np.testing.assert_array_equal(_decode(png), np.repeat(expected, 3, -1))


def test_sheet_and_samples_are_large_enough_to_read(report_images):
    for drawing in (
        case_figures.draw_sheet("normals", "Normal images", report_images.normals, 0.3),
        case_figures.draw_samples(report_images.samples, 0),
    ):
        assert _decode(drawing.png).shape[1] >= 800


def test_samples_of_a_conditional_model_have_one_column_per_class():
    shades = np.array([0.0, 0.4, 0.8])[np.arange(6) % 3]
    images = np.broadcast_to(shades[:, None, None, None], (6, 8, 8, 1)).astype(np.float32)
    drawing = case_figures.draw_samples(images, num_classes=3)
    sheet = _decode(drawing.png)[..., 0].astype(int)
    middle = [sheet.shape[1] * (2 * column + 1) // 6 for column in range(3)]
    for row in (0, -1):
        np.testing.assert_array_equal(sheet[row, middle], np.rint(255 * shades[:3]))
    assert "Each column shows one class" in drawing.caption


def test_cases_without_reconstructions_show_image_and_map(report_images):
    cases = dataclasses.replace(report_images.normals, reconstructions=None)
    assert case_figures.list_picture_names(cases) == ["input", "anomaly map"]
    tiles = case_figures.make_tiles(cases, 0.3)
    assert [len(tile.pictures) for tile in tiles] == [2] * len(cases.scores)
    sheet = case_figures.draw_sheet("normals", "Normal images, map: bands_mse", cases, 0.3)
    assert _decode(sheet.png).shape[1] >= 800


def test_what_a_mask_marks_is_outlined_and_not_covered(report_images):
    cases = report_images.normals
    masks = np.zeros(cases.images.shape[:3], bool)
    masks[0, 2:5, 2:5] = True
    plain = case_figures.make_tiles(cases, 0.3)
    tiles = case_figures.make_tiles(dataclasses.replace(cases, masks=masks), 0.3)
    assert [tile.pictures for tile in tiles] == [tile.pictures for tile in plain]
    assert tiles[0].outline.startswith("M")
    assert [tile.outline for tile in tiles[1:]] == [""] * (len(tiles) - 1)
