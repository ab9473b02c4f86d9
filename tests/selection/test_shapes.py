import numpy as np
import pytest
from scipy import ndimage, stats

from vae_jax.selection import shapes

WHOLE = np.ones((48, 64), bool)
ELLIPSE = np.hypot(*(np.mgrid[:48, :64] - np.array([23.5, 31.5])[:, None, None]) / 0.9) < 24
DRAWINGS = [shapes.draw_blob, shapes.draw_rectangle]


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("region", [WHOLE, ELLIPSE])
def test_shapes_cover_the_allowed_areas_inside_the_region(draw, region):
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(200):
        shape = draw(region, rng)
        assert not shape.mask[~region].any()
        assert not shape.weight[~region].any()
        shares.append(shape.mask.sum() / region.sum())
        assert np.pi * shape.radius**2 == pytest.approx(shape.mask.sum())
    low, high = shapes.AREA
    assert low <= min(shares) < 2 * low
    assert high / 1.3 < max(shares) <= high


@pytest.mark.parametrize("draw", DRAWINGS)
def test_diameters_are_uniform(draw):
    rng = np.random.default_rng(1)
    diameters = np.sqrt([draw(WHOLE, rng).mask.mean() for _ in range(300)])
    low, high = np.sqrt(shapes.AREA)
    assert stats.kstest(diameters, "uniform", args=(low, high - low)).pvalue > 0.01


def test_a_blob_is_one_piece_with_an_edge_that_fades():
    rng = np.random.default_rng(2)
    for _ in range(50):
        shape = shapes.draw_blob(np.ones((96, 96), bool), rng)
        assert ndimage.label(shape.mask)[1] == 1
        np.testing.assert_array_equal(shape.weight >= 0.5, shape.mask)
        assert shape.weight.max() == 1
    assert ((shape.weight > 0) & (shape.weight < 1)).any()


def test_a_rectangle_has_the_second_moments_of_one():
    """The ratio of area to the standard deviations along the axes is 12 for a rectangle."""
    rng = np.random.default_rng(3)
    region = np.ones((400, 400), bool)
    for _ in range(10):
        shape = shapes.draw_rectangle(region, rng)
        rows, columns = np.nonzero(shape.mask)
        if min(rows.min(), columns.min()) == 0 or max(rows.max(), columns.max()) == 399:
            continue
        variances = np.linalg.eigvalsh(np.cov(np.stack([rows, columns])))
        sides = np.sqrt(12 * variances)
        assert np.prod(sides) == pytest.approx(shape.mask.sum(), rel=0.02)
        assert 1 <= sides[1] / sides[0] < 8.5


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (28, 28)])
def test_small_regions_have_shapes_of_at_least_one_pixel(draw, size):
    shape = draw(np.ones(size, bool), np.random.default_rng(4))
    assert 1 <= shape.mask.sum() <= max(1, 0.1 * np.prod(size))
