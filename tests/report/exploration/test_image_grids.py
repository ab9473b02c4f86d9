import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from vae_jax.report.exploration.image_grids import draw_image_grids, draw_image_rows


@pytest.fixture
def sheets(monkeypatch):
    """Collects the images that are drawn."""
    drawn = []
    draw = Axes.imshow

    def imshow(axes, sheet, **options):
        drawn.append(np.asarray(sheet))
        return draw(axes, sheet, **options)

    monkeypatch.setattr(Axes, "imshow", imshow)
    return drawn


def test_rows_keep_the_order_of_the_images(sheets):
    images = np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3, 1, 1, 1)
    images = np.broadcast_to(images, (2, 3, 4, 4, 1))
    draw_image_rows("name", "title", images, ["a", "b"], "caption")
    (sheet,) = sheets
    # Images of 4 pixels with gaps of one pixel.
    np.testing.assert_array_equal(sheet[::5, ::5, 0], np.rint(images[:, :, 0, 0, 0] * 255))


def test_grids_are_filled_row_by_row(sheets):
    first, second = np.zeros((3, 4, 4, 1), np.float32), np.ones((2, 4, 4, 1), np.float32)
    first[2] = 0.2
    draw_image_grids("name", "title", [("first", first), ("second", second)], 2, "caption")
    np.testing.assert_array_equal(sheets[0][::5, ::5, 0], [[0, 0], [51, 255]])
    assert sheets[1].shape == (4, 9, 3)


@pytest.mark.parametrize("title", ["short", "a title that is much longer than two small images"])
def test_the_figure_is_wide_enough_for_its_title(title):
    images = np.zeros((1, 2, 4, 4, 1), np.float32)
    drawing = draw_image_rows("name", title, images, ["a"], "caption")
    with Image.open(io.BytesIO(drawing.png)) as picture:
        # The border is white on all sides, so nothing is cut off.
        pixels = np.asarray(picture.convert("L"))
    assert pixels[:, -3:].min() == 255
    assert pixels[:, :3].min() == 255


def test_the_alternative_text_counts_rows_and_columns():
    images = np.zeros((2, 3, 4, 4, 1), np.float32)
    drawing = draw_image_rows("name", "Title", images, ["a", "b"], "caption", ["1", "2", "3"])
    assert drawing.alt == "Title: 2 rows of 3 images."
