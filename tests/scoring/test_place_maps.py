import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vae_jax.scoring import place_maps

NAMES = list(place_maps.GRID_AGGREGATES)
REGION = np.random.default_rng(5).random((6, 7)) < 0.6


def make_maps(seed=0, count=4):
    return np.random.default_rng(seed).gamma(2.0, size=(count, 6, 7)).astype(np.float32)


def aggregate(name, maps, share=0.1, region=None):
    function = jax.jit(lambda maps: place_maps.GRID_AGGREGATES[name](maps, share, region=region))
    return np.asarray(function(jnp.asarray(maps)))


def smooth_with_scipy(maps, region):
    """Smooths by scipy, without the values outside the region."""
    options = {"sigma": 1, "mode": "constant", "truncate": 10}
    weight = ndimage.gaussian_filter(region.astype(float), **options)
    return np.stack(
        [
            ndimage.gaussian_filter(image * region, **options) / weight
            for image in maps.astype(float)
        ]
    )


@pytest.mark.parametrize("region", [None, REGION])
def test_smoothing_is_scipys_with_renormalised_weights(region):
    maps = make_maps()
    smoothed = np.asarray(place_maps.smooth_maps(jnp.asarray(maps), region))
    inside = np.ones((6, 7), bool) if region is None else region
    expected = smooth_with_scipy(maps, inside)
    np.testing.assert_allclose(smoothed[:, inside], expected[:, inside], rtol=1e-5)
    assert (smoothed[:, ~inside] == 0).all()


@pytest.mark.parametrize("region", [None, REGION])
def test_aggregates_are_those_of_numpy_over_the_places_that_count(region):
    maps = make_maps()
    inside = np.ones((6, 7), bool) if region is None else region
    values, smoothed = maps[:, inside], smooth_with_scipy(maps, inside)[:, inside]
    lower, median, upper = np.percentile(smoothed, [25, 50, 75], axis=1)
    num_worst = round(0.2 * inside.sum())
    expected = {
        "mean": values.mean(axis=1),
        "max": smoothed.max(axis=1),
        "top_k": np.sort(values, axis=1)[:, -num_worst:].mean(axis=1),
        "contrast": (smoothed.max(axis=1) - median) / (upper - lower),
    }
    for name in NAMES:
        np.testing.assert_allclose(
            aggregate(name, maps, 0.2, region), expected[name], rtol=1e-4, err_msg=name
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("outside", [1e6, np.inf, np.nan])
def test_places_outside_the_region_do_not_count(name, outside):
    maps = make_maps()
    changed = np.where(REGION, maps, np.float32(outside))
    np.testing.assert_array_equal(
        aggregate(name, changed, region=REGION), aggregate(name, maps, region=REGION)
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_region_of_all_places_changes_nothing(name):
    everything = np.ones((6, 7), bool)
    np.testing.assert_allclose(
        aggregate(name, make_maps(), region=everything), aggregate(name, make_maps()), rtol=1e-6
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_brighter_spot_scores_higher(name):
    maps = make_maps()
    brighter = maps.copy()
    brighter[:, 2:4, 2:4] += 20
    assert (aggregate(name, brighter) > aggregate(name, maps)).all()


def test_contrast_does_not_depend_on_the_level_and_the_unit_of_a_map():
    maps = make_maps()
    np.testing.assert_allclose(
        aggregate("contrast", 3 * maps + 5), aggregate("contrast", maps), rtol=1e-4
    )


@pytest.mark.parametrize("level", [0, 1e-30, 5.3, -400])
def test_the_contrast_of_a_flat_map_is_nearly_zero(level):
    contrast = aggregate("contrast", np.full((2, 6, 7), level, np.float32), region=REGION)
    np.testing.assert_allclose(contrast, 0, atol=0.02)


def test_the_contrast_of_a_spot_on_a_flat_map_is_finite_and_high():
    maps = np.zeros((1, 14, 14), np.float32)
    maps[0, 3, 3] = 1
    (contrast,) = aggregate("contrast", maps)
    assert 10 < contrast < np.inf


@pytest.mark.parametrize("name", NAMES)
def test_a_region_of_one_place_is_valid(name):
    region = np.zeros((6, 7), bool)
    region[2, 3] = True
    maps = make_maps()
    expected = 0 if name == "contrast" else maps[:, 2, 3]
    np.testing.assert_allclose(aggregate(name, maps, region=region), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [7, 14, 45])
def test_enlarged_maps_are_those_of_scipys_linear_interpolation(size):
    maps = make_maps()
    rows, columns = ((np.arange(size) + 0.5) * length / size - 0.5 for length in maps.shape[1:])
    at = np.meshgrid(rows, columns, indexing="ij")
    expected = [ndimage.map_coordinates(image, at, order=1, mode="nearest") for image in maps]
    enlarged = place_maps.upsample_maps(jnp.asarray(maps), size)
    np.testing.assert_allclose(enlarged, expected, rtol=1e-4)
