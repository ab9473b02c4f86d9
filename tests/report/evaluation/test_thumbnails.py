"""Thumbnails of the gallery: which images have one, how they are made small, and what they weigh."""

import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.report.evaluation import thumbnails


def test_all_images_are_shown_up_to_the_limit():
    labels, flagged = np.zeros(30, int), np.zeros(30, bool)
    rows = thumbnails.choose_thumbnails(labels, flagged, np.array([3]), 0, max_images=30)
    np.testing.assert_array_equal(rows, np.arange(30))


def test_beyond_the_limit_shown_and_wrong_images_come_first():
    labels = np.arange(200) % 2
    flagged = labels == 1
    wrong = np.array([10, 11, 12, 13])
    flagged[wrong] = ~flagged[wrong]
    shown = np.array([150, 20])
    rows = thumbnails.choose_thumbnails(labels, flagged, shown, 0, max_images=20)
    assert len(rows) == len(set(rows.tolist())) == 20
    assert set(shown) | set(wrong) <= set(rows.tolist())
    assert (np.diff(rows) > 0).all()
    again = thumbnails.choose_thumbnails(labels, flagged, shown, 0, max_images=20)
    np.testing.assert_array_equal(rows, again)


def test_wrong_images_leave_half_of_the_places_to_others():
    labels, flagged = np.zeros(200, int), np.arange(200) < 150
    rows = thumbnails.choose_thumbnails(labels, flagged, np.array([], int), 0, max_images=40)
    assert 20 <= np.sum(flagged[rows]) < 40


def test_an_image_that_is_not_square_stands_in_the_middle_of_a_grey_square():
    small = thumbnails.shrink(np.full((20, 80, 1), 255, np.uint8), side=40)
    assert small.shape == (40, 40, 3)
    assert (small[15:25] == 255).all()
    assert (small[:15] == 128).all()
    assert (small[25:] == 128).all()


def test_a_small_image_is_not_enlarged_and_a_large_one_is_averaged():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    np.testing.assert_array_equal(thumbnails.shrink(image), image)
    large = np.kron(image, np.ones((18, 18, 1), np.uint8))
    np.testing.assert_array_equal(
        thumbnails.shrink(large), np.kron(image, np.ones((9, 9, 1), np.uint8))
    )


@pytest.fixture(scope="module")
def pixels():
    """Images of a few large patches, which WebP can compress."""
    patches = np.random.default_rng(0).integers(0, 256, (300, 4, 4, 3)).astype(np.uint8)
    return np.kron(patches, np.ones((1, 4, 4, 1), np.uint8))


def test_sheets_hold_the_thumbnails_row_by_row(pixels):
    first, second = thumbnails.encode_sheets(pixels, 10**7)
    sheet = np.asarray(Image.open(io.BytesIO(second)))
    assert sheet.shape[1] == 16 * thumbnails.COLUMNS
    row, column = divmod(20, thumbnails.COLUMNS)
    cell = sheet[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
    expected = pixels[thumbnails.COLUMNS * thumbnails.ROWS + 20]
    assert np.abs(cell.astype(int) - expected).mean() < 30  # WebP is lossy
    assert Image.open(io.BytesIO(first)).size == (16 * thumbnails.COLUMNS, 16 * thumbnails.ROWS)


def test_a_smaller_budget_costs_quality_and_one_that_is_too_small_all_sheets(pixels):
    best = sum(map(len, thumbnails.encode_sheets(pixels, 10**7)))
    smaller = sum(map(len, thumbnails.encode_sheets(pixels, best * 3 // 4)))
    assert 0 < smaller <= best * 3 // 4
    assert thumbnails.encode_sheets(pixels, 100) == []
