import numpy as np
import pytest
import sklearn.metrics
from scipy import ndimage

from vae_jax.metrics.localisation import Localisation


def scene(seed, count=6, size=24):
    """Smooth maps that are higher, on average, inside masks of several blobs; some masks are empty."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(count, size, size)), (0, 2, 2))
    masks = (field > 1.5 * field.std()).astype(np.uint8)
    masks[0] = 0
    maps = masks + ndimage.gaussian_filter(rng.normal(size=masks.shape), (0, 1, 1)) * 3
    # Multiples of 1/16 below 16 fall on edges of bins: no two of them share one.
    return np.round(np.clip(maps, -15, 15) * 16) / 16, masks


def measure(maps, masks, roi=None, **kwargs):
    found = Localisation()
    found.update(maps, masks, roi)
    return found.result(**kwargs)


def values(found):
    return {name: value for name, value in found.items() if name != "intervals"}


def aupro_by_definition(maps, masks, limit):
    """Threshold by threshold and region by region, as the paper has it."""
    regions = []
    for mask, scores in zip(masks, maps, strict=True):
        labels, count = ndimage.label(mask, np.ones((3, 3)))
        regions += [scores[labels == i + 1] for i in range(count)]
    normal = maps[masks == 0]
    fpr, pro = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        fpr.append(np.mean(normal >= threshold))
        pro.append(np.mean([np.mean(scores >= threshold) for scores in regions]))
    grid = np.linspace(0, limit, 200_001)
    return np.interp(grid, fpr, pro).mean()


@pytest.mark.parametrize("seed", range(3))
def test_pixel_metrics_are_those_of_sklearn(seed):
    maps, masks = scene(seed)
    found = measure(maps, masks)
    labels, scores = masks.ravel(), maps.ravel()
    assert found["pixel_auroc"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
    assert found["pixel_ap"] == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores)
    )


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_is_that_of_the_definition(limit):
    maps, masks = scene(0)
    found = measure(maps, masks, fpr_limit=limit)
    assert found["aupro"] == pytest.approx(aupro_by_definition(maps, masks, limit), abs=1e-4)


def test_binning_costs_next_to_nothing():
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 64, 64), np.uint8)
    masks[:, 10:30, 10:30] = 1
    maps = rng.gamma(0.5, size=masks.shape) * (1 + masks)
    found = measure(maps, masks)
    assert found["pixel_auroc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(masks.ravel(), maps.ravel()), abs=2e-4
    )
    assert found["aupro"] == pytest.approx(aupro_by_definition(maps, masks, 0.3), abs=2e-4)


def test_result_does_not_depend_on_batches_or_their_order():
    maps, masks = scene(1)
    streamed = Localisation()
    for i in (4, 0, 2):
        streamed.update(maps[i : i + 2], masks[i : i + 2])
    assert values(streamed.result()) == pytest.approx(values(measure(maps, masks)))


def test_intervals_do_not_depend_on_batches():
    maps, masks = scene(1)
    streamed = Localisation()
    for start, stop in ((0, 1), (1, 4), (4, 6)):
        streamed.update(maps[start:stop], masks[start:stop])
    whole = measure(maps, masks)["intervals"]
    for name, interval in streamed.result()["intervals"].items():
        assert interval == pytest.approx(whole[name])


def test_intervals_are_those_of_resampled_images():
    maps, masks = scene(5, count=40)
    found = measure(maps, masks)
    rng = np.random.default_rng(7)
    drawn = []
    for _ in range(200):
        rows = rng.integers(0, len(maps), len(maps))
        drawn.append(values(measure(maps[rows], masks[rows])))
    for name, interval in found["intervals"].items():
        low, high = np.quantile([one[name] for one in drawn], [0.025, 0.975])
        assert interval["low"] <= found[name] <= interval["high"]
        assert interval["low"] == pytest.approx(low, abs=0.2 * (high - low))
        assert interval["high"] == pytest.approx(high, abs=0.2 * (high - low))


def test_one_image_says_nothing_about_other_images():
    maps, masks = scene(2, count=2)
    found = measure(maps[1:], masks[1:])
    for name, interval in found["intervals"].items():
        assert interval == pytest.approx({"low": found[name], "high": found[name]})


def test_memory_does_not_grow_with_the_images():
    maps, masks = scene(0)
    found = Localisation()
    sizes = []
    for _ in range(3):
        found.update(maps, masks)
        sizes.append(sum(getattr(value, "nbytes", 0) for value in vars(found).values()))
    assert len(set(sizes)) == 1


def test_a_small_region_counts_as_much_as_a_large_one():
    masks = np.zeros((1, 20, 20), np.uint8)
    masks[0, :10, :10] = 1
    masks[0, 15, 15] = 1
    maps = np.zeros((1, 20, 20))
    maps[0, :10, :10] = 1
    # At no false alarm one region is found and one is not; then PRO rises with the false alarms to 1.
    assert measure(maps, masks, fpr_limit=0.3)["aupro"] == pytest.approx((0.5 + 0.65) / 2)


def test_corners_join_a_region():
    masks = np.eye(6, dtype=np.uint8)[None]
    maps = np.zeros((1, 6, 6))
    maps[0, 0, 0] = 1
    found = Localisation()
    found.update(maps, masks)
    assert found._num_regions == 1


def test_perfect_maps_are_perfect():
    _, masks = scene(2)
    found = measure(masks.astype(np.float32), masks)
    assert values(found) == pytest.approx({"pixel_auroc": 1, "pixel_ap": 1, "aupro": 1})


def test_pixels_outside_the_region_of_interest_do_not_count():
    maps, masks = scene(3)
    roi = np.zeros((24, 24), bool)
    roi[4:20, 4:20] = True
    inside = measure(maps[:, 4:20, 4:20], masks[:, 4:20, 4:20])
    assert measure(maps, masks, roi) == inside
    assert measure(maps, masks, np.broadcast_to(roi, maps.shape)) == inside
    assert measure(np.where(roi, maps, np.nan), masks, roi) == inside


@pytest.mark.parametrize("shift", [-2000.0, 0.0, 2000.0])
def test_negative_values_are_ranked_too(shift):
    maps, masks = scene(4)
    expected = measure(maps, masks)
    # Spread to be 2 apart, since bins are 1 wide this far out.
    assert values(measure(maps * 32 + shift, masks)) == pytest.approx(values(expected))


def test_without_abnormal_or_normal_pixels_there_is_no_result():
    maps = np.zeros((1, 4, 4))
    assert measure(maps, np.zeros((1, 4, 4), np.uint8)) == {}
    assert measure(maps, np.ones((1, 4, 4), np.uint8)) == {}
    assert Localisation().result() == {}


def test_nan_is_refused():
    maps = np.zeros((1, 4, 4))
    maps[0, 1, 1] = np.nan
    with pytest.raises(ValueError, match="1 pixels of the anomaly maps are NaN"):
        measure(maps, np.zeros((1, 4, 4), np.uint8))
