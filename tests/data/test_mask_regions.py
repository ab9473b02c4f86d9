import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vae_jax.data.mask_regions import shrink_mask
from vae_jax.data.squaring import fit_square


def shrink(marked, side, framing="stretch"):
    return shrink_mask(
        marked, lambda image: fit_square(image, side, framing, Image.Resampling.NEAREST)
    )


def nearest(marked, side):
    image = Image.fromarray(marked.astype(np.uint8))
    return np.asarray(image.resize((side, side), Image.Resampling.NEAREST))


def test_a_line_of_three_pixels_of_1024_is_kept_at_96():
    marked = np.zeros((1024, 1024), bool)
    marked[517:520, 300:303] = True
    assert not nearest(marked, 96).any()
    mask, num_regions, num_kept = shrink(marked, 96)
    assert (num_regions, num_kept, mask.sum()) == (1, 1, 1)
    (row, column), *_ = np.argwhere(mask)
    assert abs(row - 518 * 96 / 1024) < 1
    assert abs(column - 301 * 96 / 1024) < 1


def test_large_regions_are_those_of_nearest_neighbour_resizing():
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(200, 200)), 8)
    marked = field > field.std()
    mask, _, num_kept = shrink(marked, 100)
    assert num_kept == 0
    np.testing.assert_array_equal(mask, nearest(marked, 100))


def test_every_region_of_a_mask_has_a_pixel_close_to_it():
    rng = np.random.default_rng(1)
    marked = np.zeros((300, 400), bool)
    places = np.stack(np.meshgrid(np.arange(20, 300, 60), np.arange(20, 400, 60)), -1).reshape(
        -1, 2
    )
    places += rng.integers(0, 12, places.shape)
    marked[places[:, 0], places[:, 1]] = True
    for framing in ("stretch", "pad"):
        mask, num_regions, num_kept = shrink(marked, 32, framing)
        assert num_regions == len(places) == mask.sum()
        assert 0 < num_kept <= num_regions
        scale = (
            np.array([32 / 400, 32 / 400]) if framing == "pad" else np.array([32 / 300, 32 / 400])
        )
        added = np.array([4, 0]) if framing == "pad" else 0
        expected = (places + 0.5) * scale + added - 0.5
        distance = np.abs(expected[:, None] - np.argwhere(mask)[None]).max(axis=2).min(axis=1)
        assert distance.max() <= 1


@pytest.mark.parametrize("side", [3, 50])
def test_a_mask_that_marks_nothing_has_no_regions(side):
    mask, num_regions, num_kept = shrink(np.zeros((20, 30), bool), side)
    assert (mask.shape, int(mask.sum()), num_regions, num_kept) == ((side, side), 0, 0, 0)
