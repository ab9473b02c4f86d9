import numpy as np
import pytest

from vae_jax.data.examples import Examples
from vae_jax.data.tiling import compute_tile_offsets
from vae_jax.scoring.stitching import assemble_strip, blend_tiles

SIDE = 8
ALL = np.ones((SIDE, SIDE), bool)


def cut(strip, stride):
    starts = np.array(compute_tile_offsets(strip.shape[1], SIDE, stride))
    return np.stack([strip[:, at : at + SIDE] for at in starts]), starts


def tiles_of(strip, mask, starts, stored=None):
    """The tiles of one grey strip as test images; `stored` is the width and height of its file."""
    num = len(starts)
    return Examples(
        images=np.stack([strip[:, at : at + SIDE, None] for at in starts]),
        labels=np.array([int(mask[:, at : at + SIDE].any()) for at in starts], np.int32),
        classes=["tile"] * num,
        files=["a.png"] * num,
        groups=["a.png"] * num,
        stored_size=np.tile(np.array([*(stored or strip.shape[::-1]), 99], np.int32), (num, 1)),
        masks=np.stack([mask[:, at : at + SIDE] for at in starts]),
        has_mask=np.ones(num, bool),
        offsets=np.array(starts, np.int32),
    )


@pytest.mark.parametrize(("length", "stride"), [(32, 4), (32, 8), (31, 5), (33, 3), (8, 4), (9, 8)])
def test_tiles_that_were_cut_from_a_map_are_blended_to_the_map(length, stride):
    rng = np.random.default_rng(0)
    ramp = np.tile(np.linspace(-3, 5, length), (SIDE, 1))
    for whole in (np.full((SIDE, length), 7.5), ramp, rng.normal(size=(SIDE, length))):
        values, covered = blend_tiles(*cut(whole, stride), length, ALL)
        np.testing.assert_allclose(values, whole, atol=1e-12)
        assert covered.all()


def test_tiles_that_disagree_are_weighted_by_the_distance_from_their_ends():
    tiles = np.stack([np.zeros((SIDE, SIDE)), np.ones((SIDE, SIDE))])
    values, _ = blend_tiles(tiles, np.array([0, 4]), 12, ALL)
    # Weights 1 2 3 4 4 3 2 1: in the overlap the first falls from 4 to 1, the second rises from 1 to 4.
    np.testing.assert_allclose(values[0], [0, 0, 0, 0, 1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 1, 1, 1])


def test_the_blended_map_has_no_step_at_the_start_of_a_tile():
    tiles = np.stack([np.zeros((64, 64)), np.ones((64, 64)), np.zeros((64, 64))])
    values, _ = blend_tiles(tiles, np.array([0, 32, 64]), 128, np.ones((64, 64), bool))
    assert abs(np.diff(values[0])).max() < 0.04


def test_blending_does_not_depend_on_the_order_of_tiles():
    tiles, starts = np.random.default_rng(0).normal(size=(4, SIDE, SIDE)), np.array([0, 3, 6, 9])
    order = np.array([2, 0, 3, 1])
    one, other = (
        blend_tiles(tiles, starts, 17, ALL),
        blend_tiles(tiles[order], starts[order], 17, ALL),
    )
    np.testing.assert_allclose(one[0], other[0])


def test_where_tiles_are_missing_the_map_is_zero_and_does_not_count():
    whole = np.random.default_rng(0).normal(size=(SIDE, 32))
    tiles, starts = cut(whole, 4)
    is_present = (starts >= 8) & (starts != 20)
    is_present[starts == 16] = False
    values, covered = blend_tiles(tiles[is_present], starts[is_present], 32, ALL)
    assert np.isfinite(values).all()
    assert not covered[:, :8].any()
    assert covered[:, 8:20].all()
    assert (values[:, :8] == 0).all()
    np.testing.assert_allclose(values[covered], whole[covered])


def test_pixels_outside_the_region_are_ignored_even_if_they_are_nan():
    region = ALL.copy()
    region[:2] = False
    tiles = np.ones((2, SIDE, SIDE))
    tiles[:, :2] = np.nan
    values, covered = blend_tiles(tiles, np.array([0, 4]), 12, region)
    np.testing.assert_array_equal(covered, np.tile(region[:, :1], (1, 12)))
    np.testing.assert_allclose(values, covered)


@pytest.fixture
def strip():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (SIDE, 30), np.uint8)
    mask = np.zeros_like(image)
    mask[3:5, 10:13] = 1
    return image, mask


def test_a_strip_is_assembled_to_its_image_and_mask(strip):
    image, mask = strip
    tiles, starts = cut(image.astype(float), 5)
    whole = assemble_strip(tiles_of(image, mask, starts), np.arange(len(starts)), "mse", tiles)
    np.testing.assert_array_equal(whole.image[..., 0], image)
    np.testing.assert_array_equal(whole.mask, mask)
    np.testing.assert_allclose(whole.values, image)
    assert (whole.file, whole.label, whole.map_name) == ("a.png", 1, "mse")
    assert whole.score == pytest.approx(image.max())


def test_the_score_of_a_strip_ignores_places_without_a_tile(strip):
    image, mask = strip
    tiles, starts = cut(-1 - image.astype(float), 5)  # below what uncovered places hold
    rows = np.arange(1, len(starts))
    whole = assemble_strip(tiles_of(image, mask, starts), rows, "mse", tiles[1:])
    assert whole.score < 0
    assert (whole.image[:, :5] == 255).all()


@pytest.mark.parametrize("factor", [2, 0.5, 1.5, 0.75])
def test_resized_tiles_cover_the_strip_without_a_gap(factor):
    side, length, stride = 24, 24 * 5 + 7, 10
    size = int(side * factor)
    offsets = compute_tile_offsets(length, side, stride)
    num = len(offsets)
    blank = np.zeros((SIDE, SIDE), np.uint8)
    test = tiles_of(blank, blank, [0] * num, (length, side))
    object.__setattr__(test, "images", np.zeros((num, size, size, 1), np.uint8))
    object.__setattr__(test, "masks", np.zeros((num, size, size), np.uint8))
    object.__setattr__(test, "offsets", np.array(offsets, np.int32))
    whole = assemble_strip(test, np.arange(num), "mse", np.ones((num, size, size)))
    assert whole.covered.all()
    assert whole.values.shape == (size, int(np.floor(length * factor + 0.5)))
    np.testing.assert_allclose(whole.values, 1)


def test_an_upright_strip_is_turned_on_its_side(strip):
    image, mask = strip
    tiles, starts = cut(image.astype(float), 5)
    lying = tiles_of(image, mask, starts)
    upright = tiles_of(image, mask, starts, (SIDE, 30))
    object.__setattr__(upright, "images", lying.images.swapaxes(1, 2))
    object.__setattr__(upright, "masks", lying.masks.swapaxes(1, 2))
    rows = np.arange(len(starts))
    one = assemble_strip(lying, rows, "mse", tiles)
    other = assemble_strip(upright, rows, "mse", tiles.swapaxes(1, 2))
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_allclose(one.values, other.values)
