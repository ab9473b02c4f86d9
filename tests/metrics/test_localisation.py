import numpy as np
import pytest
import sklearn.metrics
from scipy import ndimage

from vae_jax.metrics.localisation import Localisation


def scene(seed, count=6, size=24):
    """Smooth maps that are higher on average inside the masks, which hold several blobs or none."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(count, size, size)), (0, 2, 2))
    masks = (field > 1.5 * field.std()).astype(np.uint8)
    masks[0] = 0
    maps = masks + ndimage.gaussian_filter(rng.normal(size=masks.shape), (0, 1, 1)) * 3
    # Multiples of 1/16 below 16 are edges of bins, so two different values are never in one bin.
    return np.round(np.clip(maps, -15, 15) * 16) / 16, masks


def measure(maps, masks, roi=None, **kwargs):
    localisation = Localisation()
    localisation.update(maps, masks, roi)
    return localisation.result(**kwargs)


def values(result):
    """The metrics of a result without their intervals."""
    return {name: value for name, value in result.items() if name != "intervals"}


def aupro_by_definition(maps, masks, limit):
    """AUPRO as the paper defines it, for each threshold and each region."""
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


def resampled_metrics(maps, masks, num_resamples, seed):
    """The metrics of resampled images, by scikit-learn: the weight of a pixel is how often it is drawn."""
    levels, level_of_pixel = np.unique(-maps, return_inverse=True)
    level_of_pixel = level_of_pixel.reshape(len(maps), -1)
    normal, abnormal, overlap = np.zeros((3, len(maps), len(levels)))
    num_regions = np.zeros(len(maps))
    for i, (mask, level) in enumerate(zip(masks, level_of_pixel, strict=True)):
        regions, num_regions[i] = ndimage.label(mask, np.ones((3, 3)))
        regions = regions.ravel()
        inside = regions > 0
        weights = 1 / np.bincount(regions)[regions[inside]]
        normal[i] = np.bincount(level[~inside], minlength=len(levels))
        abnormal[i] = np.bincount(level[inside], minlength=len(levels))
        overlap[i] = np.bincount(level[inside], weights, minlength=len(levels))
    rng = np.random.default_rng(seed)
    labels, scores = np.repeat([0, 1], len(levels)), np.tile(-levels, 2)
    fpr_grid = np.linspace(0, 0.3, 20_001)
    metrics = {"pixel_auroc": [], "pixel_ap": [], "aupro": []}
    for _ in range(num_resamples):
        times = np.bincount(rng.integers(0, len(maps), len(maps)), minlength=len(maps))
        weights = np.concatenate([times @ normal, times @ abnormal])
        fpr = np.append(0, np.cumsum(times @ normal) / np.sum(times @ normal))
        pro = np.append(0, np.cumsum(times @ overlap) / (times @ num_regions))
        metrics["pixel_auroc"].append(
            sklearn.metrics.roc_auc_score(labels, scores, sample_weight=weights)
        )
        metrics["pixel_ap"].append(
            sklearn.metrics.average_precision_score(labels, scores, sample_weight=weights)
        )
        metrics["aupro"].append(np.interp(fpr_grid, fpr, pro).mean())
    return metrics


@pytest.mark.parametrize("seed", range(3))
def test_pixel_metrics_are_those_of_sklearn(seed):
    maps, masks = scene(seed)
    result = measure(maps, masks)
    labels, scores = masks.ravel(), maps.ravel()
    assert result["pixel_auroc"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
    assert result["pixel_ap"] == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores)
    )


@pytest.mark.parametrize("limit", [0.05, 0.3, 1.0])
def test_aupro_equals_its_definition(limit):
    maps, masks = scene(0)
    result = measure(maps, masks, fpr_limit=limit)
    assert result["aupro"] == pytest.approx(aupro_by_definition(maps, masks, limit), abs=1e-4)


def test_a_step_of_the_curve_at_the_limit_itself_is_not_below_it():
    # 3 of 10 normal pixels are above the whole anomaly, so PRO is 0 up to a false-positive rate of 0.3.
    maps = np.array([[[9.0, 9, 9, 5, 1, 1, 1, 1, 1, 1, 1]]])
    masks = (maps == 5).astype(np.uint8)
    assert measure(maps, masks, fpr_limit=0.3)["aupro"] == 0.0
    # With a second anomaly above all normal pixels, PRO is 0.5 up to the limit.
    maps = np.append([[[10.0, 1.0]]], maps, axis=2)
    masks = np.append([[[1, 0]]], masks, axis=2).astype(np.uint8)
    assert measure(maps, masks, fpr_limit=3 / 11)["aupro"] == 0.5


def test_bins_change_the_metrics_by_less_than_a_thousandth():
    rng = np.random.default_rng(0)
    masks = np.zeros((4, 64, 64), np.uint8)
    masks[:, 10:30, 10:30] = 1
    maps = rng.gamma(0.5, size=masks.shape) * (1 + masks)
    result = measure(maps, masks)
    assert result["pixel_auroc"] == pytest.approx(
        sklearn.metrics.roc_auc_score(masks.ravel(), maps.ravel()), abs=2e-4
    )
    assert result["aupro"] == pytest.approx(aupro_by_definition(maps, masks, 0.3), abs=2e-4)


def test_metrics_do_not_depend_on_batches_or_their_order():
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
    intervals = measure(maps, masks)["intervals"]
    for name, interval in streamed.result()["intervals"].items():
        assert interval == pytest.approx(intervals[name])


def test_intervals_are_those_of_resampled_images():
    maps, masks = scene(5, count=40)
    result = measure(maps, masks)
    resampled = resampled_metrics(maps, masks, num_resamples=300, seed=7)
    for name, interval in result["intervals"].items():
        low, high = np.quantile(resampled[name], [0.025, 0.975])
        assert interval["low"] <= result[name] <= interval["high"]
        assert interval["low"] == pytest.approx(low, abs=0.2 * (high - low))
        assert interval["high"] == pytest.approx(high, abs=0.2 * (high - low))


def test_groups_of_equal_images_count_as_one_image_each():
    maps, masks = scene(5, count=40)
    names = [str(i) for i in range(40)]
    once, copies = Localisation(), Localisation()
    once.update(maps, masks, None, names)
    for start in range(0, 40, 8):  # copies of an image arrive in the order of batches
        rows = np.repeat(np.arange(start, start + 8), 3)
        copies.update(maps[rows], masks[rows], None, [names[row] for row in rows])
    for name, interval in once.result()["intervals"].items():
        assert copies.result()["intervals"][name] == pytest.approx(interval, abs=1e-9)


def test_the_interval_of_a_single_image_is_a_point():
    maps, masks = scene(2, count=2)
    result = measure(maps[1:], masks[1:])
    for name, interval in result["intervals"].items():
        assert interval == pytest.approx({"low": result[name], "high": result[name]})


def test_memory_does_not_grow_with_the_images():
    maps, masks = scene(0)
    localisation = Localisation()
    sizes = []
    for _ in range(3):
        localisation.update(maps, masks)
        sizes.append(sum(getattr(value, "nbytes", 0) for value in vars(localisation).values()))
    assert len(set(sizes)) == 1


def test_a_small_region_counts_as_much_as_a_large_one():
    masks = np.zeros((1, 20, 20), np.uint8)
    masks[0, :10, :10] = 1
    masks[0, 15, 15] = 1
    maps = np.zeros((1, 20, 20))
    maps[0, :10, :10] = 1
    # Without false alarms one of the two regions is covered; then PRO rises with the false alarms to 1.
    assert measure(maps, masks, fpr_limit=0.3)["aupro"] == pytest.approx((0.5 + 0.65) / 2)


def test_pixels_that_touch_at_a_corner_are_one_region():
    masks = np.eye(6, dtype=np.uint8)[None]
    maps = np.zeros((1, 6, 6))
    maps[0, 0, 0] = 1
    localisation = Localisation()
    localisation.update(maps, masks)
    assert localisation._num_regions == 1


def test_maps_that_equal_the_masks_have_perfect_metrics():
    _, masks = scene(2)
    result = measure(masks.astype(np.float32), masks)
    assert values(result) == pytest.approx({"pixel_auroc": 1, "pixel_ap": 1, "aupro": 1})


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
    # At 2000 a bin is 1 wide, so the values are scaled to be 2 apart.
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
