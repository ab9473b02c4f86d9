import collections

import numpy as np
import pytest

from vae_jax.data.tiling import (
    compute_boxes,
    compute_tile_offsets,
    index_images,
    lay_out_tiles,
    list_first_tiles,
)

SIZES = [(7, 7), (8, 5), (5, 8), (30, 8), (23, 17), (16, 16), (40, 31), (1, 9)]


def brute_force_offsets(length, side, stride):
    """Every start that is a multiple of the stride and fits, and the last one that fits."""
    fitting = [start for start in range(length) if start + side <= length]
    return sorted({start for start in fitting if start % stride == 0} | {fitting[-1]})


@pytest.mark.parametrize("length", range(1, 25))
def test_offsets_are_all_multiples_of_the_stride_that_fit_and_the_last_place(length):
    for side in range(1, length + 1):
        for stride in range(1, side + 1):
            expected = brute_force_offsets(length, side, stride)
            assert compute_tile_offsets(length, side, stride) == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("tile_size", "stride"), [(8, 0), (8, 8), (8, 3), (5, 0), (100, 0)])
def test_tiles_cover_every_pixel_and_lie_inside(size, tile_size, stride):
    width, height = size
    counts = np.zeros((height, width), int)
    for left, top, side in compute_boxes(width, height, tile_size, stride):
        assert side == min(width, height, tile_size)
        assert 0 <= left <= width - side
        assert 0 <= top <= height - side
        counts[top : top + side, left : left + side] += 1
    assert counts.min() >= 1


def test_tiles_are_every_combination_of_the_offsets_in_both_directions():
    boxes = compute_boxes(23, 17, 8, 5)
    expected = {(left, top, 8) for left in (0, 5, 10, 15) for top in (0, 5, 9)}
    assert {tuple(box) for box in boxes.tolist()} == expected
    assert len(boxes) == 12


def test_the_stride_is_half_a_tile_unless_it_is_given():
    np.testing.assert_array_equal(compute_boxes(40, 31, 8), compute_boxes(40, 31, 8, 4))


def test_in_a_small_image_tile_and_stride_shrink_by_the_same_factor():
    # The tile has half of its size, so its stride is 2 instead of 4.
    boxes = compute_boxes(10, 4, 8, 4)
    assert boxes.tolist() == [[0, 0, 4], [2, 0, 4], [4, 0, 4], [6, 0, 4]]


def test_a_square_image_of_at_most_the_size_of_a_tile_is_one_tile():
    assert compute_boxes(8, 8, 8).tolist() == [[0, 0, 8]]
    assert compute_boxes(5, 5, 8).tolist() == [[0, 0, 5]]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile_size", [3, 8, 11])
def test_tiles_at_another_scale_leave_no_pixel_of_the_whole_image_free(size, tile_size):
    boxes = compute_boxes(*size, 6)
    layout = lay_out_tiles(boxes, tile_size)
    counts = np.zeros(layout.shape, int)
    for tile in range(len(boxes)):
        counts[layout.place(tile)] += 1
    assert counts.min() >= 1
    scale = tile_size / boxes[0, 2]
    np.testing.assert_allclose(layout.shape, (scale * size[1], scale * size[0]), atol=0.51)


def test_the_layout_begins_where_the_first_tile_begins():
    boxes = compute_boxes(23, 17, 8, 5)
    moved = boxes + np.array([100, 50, 0], np.int32)
    np.testing.assert_array_equal(lay_out_tiles(moved, 8).starts, lay_out_tiles(boxes, 8).starts)
    assert lay_out_tiles(moved, 8).shape == (17, 23)


def test_images_are_numbered_in_the_order_of_their_first_tile():
    files = ["b", "a", "b", "c", "a", "b"]
    numbers = index_images(files)
    assert numbers.tolist() == [0, 1, 0, 2, 1, 0]
    assert list_first_tiles(numbers).tolist() == [0, 1, 3]
    counts = collections.Counter(files)
    assert np.bincount(numbers).tolist() == [counts[name] for name in "bac"]
