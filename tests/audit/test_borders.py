import numpy as np
import pytest

from vae_jax.audit.borders import CORNERS, measure_borders


@pytest.fixture
def photograph():
    return np.random.default_rng(0).integers(60, 200, (90, 120, 3), np.uint8)


def test_a_photograph_has_neither_borders_nor_boxes(photograph):
    assert measure_borders(photograph) == (0.0, 0.0, (0.0, 0.0, 0.0, 0.0))


def test_a_frame_counts_with_its_area_in_its_own_colour(photograph):
    photograph[:9] = 3
    photograph[:, -6:] = 255
    borders = measure_borders(photograph)
    assert borders.dark == pytest.approx(9 * 114 / (90 * 120))
    assert borders.white == pytest.approx(6 / 120)


def test_a_dark_object_inside_the_image_is_no_border(photograph):
    photograph[30:50, 30:60] = 0
    assert measure_borders(photograph).dark == 0


@pytest.mark.parametrize("corner", range(4))
@pytest.mark.parametrize("colour", [(0, 0, 0), (20, 140, 40)])
def test_a_box_of_any_colour_is_found_in_its_corner(photograph, corner, colour):
    rows = slice(0, 30) if corner < 2 else slice(60, 90)
    columns = slice(0, 40) if corner % 2 == 0 else slice(80, 120)
    photograph[rows, columns] = colour
    boxes = measure_borders(photograph).boxes
    assert np.flatnonzero(boxes).tolist() == [corner]
    assert boxes[corner] == pytest.approx(1 / 9, rel=0.1)
    assert len(CORNERS) == 4


def test_a_frame_along_a_side_is_no_box(photograph):
    photograph[:, :30] = 0
    assert not any(measure_borders(photograph).boxes)


def test_a_black_image_is_all_border():
    assert measure_borders(np.zeros((40, 40, 3), np.uint8)).dark == 1
