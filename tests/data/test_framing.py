import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.data.framing import Framing, cut, tile_offsets
from vae_jax.errors import UserError


def encoded(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def strip():
    return np.random.default_rng(0).integers(0, 200, (8, 30), np.uint8)


@pytest.mark.parametrize(
    ("length", "side", "stride", "offsets"),
    [
        (24, 8, 8, [0, 8, 16]),
        (24, 8, 4, [0, 4, 8, 12, 16]),
        (25, 8, 8, [0, 8, 16, 17]),
        (30, 8, 5, [0, 5, 10, 15, 20, 22]),
        (8, 8, 3, [0]),
        (9, 8, 8, [0, 1]),
    ],
)
def test_tiles_stand_a_stride_apart_and_the_last_is_flush(length, side, stride, offsets):
    assert tile_offsets(length, side, stride) == offsets
    covered = np.zeros(length, bool)
    for at in offsets:
        covered[at : at + side] = True
    assert covered.all()


def test_a_tile_is_the_piece_of_the_stored_image_at_its_offset(strip):
    squares = cut(encoded(strip), None, Framing(8, 1, tile_stride=5))
    assert squares.offsets.tolist() == [0, 5, 10, 15, 20, 22]
    assert squares.masks is None
    for image, at in zip(squares.images, squares.offsets, strict=True):
        np.testing.assert_array_equal(image[..., 0], strip[:, at : at + 8])


def test_an_upright_image_is_cut_from_top_to_bottom(strip):
    lying = cut(encoded(strip), None, Framing(8, 1, tile_stride=5))
    upright = cut(encoded(np.ascontiguousarray(strip.T)), None, Framing(8, 1, tile_stride=5))
    np.testing.assert_array_equal(upright.offsets, lying.offsets)
    np.testing.assert_array_equal(upright.images, lying.images.swapaxes(1, 2))


def test_masks_are_cut_as_their_image_and_smoothed_borders_fall_away(strip):
    mask = np.zeros_like(strip)
    mask[2:4, 12:14], mask[4, 12:14] = 255, 127
    squares = cut(encoded(strip), encoded(mask), Framing(8, 1, tile_stride=5))
    assert squares.marked.tolist() == [False, True, True, False, False, False]
    for cut_mask, at in zip(squares.masks, squares.offsets, strict=True):
        np.testing.assert_array_equal(cut_mask, mask[:, at : at + 8] > 127)


def test_a_defect_too_small_for_the_resized_mask_still_marks_its_tile(strip):
    mask = np.zeros_like(strip)
    mask[0, 0] = 255
    squares = cut(encoded(strip), encoded(mask), Framing(2, 1, tile_stride=8))
    assert not squares.masks.any()
    assert squares.marked.tolist() == [True, False, False, False]


def test_near_white_tiles_are_left_out(strip):
    strip[:, :7] = 255
    framing = Framing(8, 1, tile_stride=5, max_saturated=0.3)
    assert cut(encoded(strip), None, framing).offsets.tolist() == [5, 10, 15, 20, 22]
    strip[:] = 250
    nothing = cut(encoded(strip), encoded(strip), framing)
    assert nothing.images.shape == (0, 8, 8, 1)
    assert nothing.masks.shape == (0, 8, 8)


def test_a_near_white_image_is_left_out_whole_where_nothing_is_tiled(strip):
    strip[:, 11:19] = 255  # the central square
    assert len(cut(encoded(strip), None, Framing(8, 1, max_saturated=0.9)).images) == 0
    assert len(cut(encoded(strip), None, Framing(8, 1)).images) == 1


def test_tiles_are_scaled_to_the_size_that_the_model_sees(strip):
    squares = cut(encoded(strip), encoded(strip), Framing(4, 3, tile_stride=8))
    assert squares.images.shape == (4, 4, 4, 3)
    assert squares.masks.shape == (4, 4, 4)


def test_tiles_that_would_leave_gaps_are_refused(strip):
    with pytest.raises(UserError, match=r"tile_stride is 9.*30x8.*take at most 8"):
        cut(encoded(strip), None, Framing(8, 1, tile_stride=9))


def test_a_mask_of_another_size_is_refused(strip):
    with pytest.raises(UserError, match=r"image of 30x8 pixels has a mask of 29x8"):
        cut(encoded(strip), encoded(strip[:, 1:].copy()), Framing(8, 1, tile_stride=4))


def test_tiles_and_crop_are_not_asked_for_together():
    with pytest.raises(UserError, match=r"data.crop is 0.5 and data.tile_stride is 4"):
        Framing(8, 1, crop=0.5, tile_stride=4)


def test_whatever_changes_the_squares_changes_the_key():
    framings = [
        Framing(8, 1),
        Framing(16, 1),
        Framing(8, 3),
        Framing(8, 1, crop=0.5),
        Framing(8, 1, tile_stride=4),
        Framing(8, 1, tile_stride=5),
        Framing(8, 1, max_saturated=0.5),
        Framing(8, 1, tile_stride=4, max_saturated=0.5),
        Framing(8, 1, tile_stride=4, max_saturated=0.25),
    ]
    assert len({framing.key for framing in framings}) == len(framings)
    assert Framing(8, 1).key == "8px-1c-crop1"  # what caches have been named so far
