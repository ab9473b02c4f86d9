"""Curves of anomaly maps, compared with counting pixels one threshold after the other."""

import numpy as np
import pytest

from vae_jax.metrics.localisation import Localisation
from vae_jax.metrics.localisation_curves import FALSE_POSITIVE_RATES


@pytest.fixture(scope="module")
def images():
    """Maps and masks of 12 images; two images have no marked pixel."""
    rng = np.random.default_rng(0)
    masks = np.zeros((12, 24, 24), np.uint8)
    for i in range(10):
        masks[i, 3 : 6 + i, 4:12] = 1
        masks[i, 20:22, 2 + i : 5 + i] = 1
    maps = rng.gamma(2.0, 1.0, masks.shape) + masks * rng.uniform(0, 4, (12, 1, 1))
    return maps.astype(np.float32), masks


def measure(maps, masks):
    localisation = Localisation()
    localisation.update(maps, masks)
    return localisation.result(with_curves=True)


def test_the_area_below_the_curve_of_pro_is_aupro(images):
    result = measure(*images)
    curves = result["curves"]
    fpr = np.append(0, curves["fpr"])
    pro = np.append(0, curves["pro"])
    x = np.linspace(0, 0.3, 2001)
    area = np.trapezoid(np.interp(x, fpr, pro), x) / 0.3
    assert area == pytest.approx(result["aupro"], abs=0.01)


def test_recall_is_that_of_counted_pixels(images):
    maps, masks = images
    curves = measure(maps, masks)["curves"]
    normal = np.sort(maps[masks == 0])[::-1]
    for rate in (0.01, 0.1, 0.5):
        threshold = normal[int(rate * len(normal))]
        point = np.argmin(np.abs(FALSE_POSITIVE_RATES - rate))
        assert curves["fpr"][point] == pytest.approx(rate, rel=0.06)
        expected = np.mean(maps[masks == 1] > threshold)
        assert curves["recall"][point] == pytest.approx(expected, abs=0.03)


def test_quartiles_of_the_overlap_are_those_of_counted_pixels(images):
    maps, masks = images
    curves = measure(maps, masks)["curves"]
    assert curves["images"] == 10
    normal = np.sort(maps[masks == 0])[::-1]
    point = np.argmin(np.abs(FALSE_POSITIVE_RATES - 0.1))
    threshold = normal[int(FALSE_POSITIVE_RATES[point] * len(normal))]
    shares = [
        np.mean(values[mask == 1] > threshold)
        for values, mask in zip(maps[:10], masks[:10], strict=True)
    ]
    expected = np.quantile(shares, [0.25, 0.5, 0.75], method="inverted_cdf")
    actual = [curves["overlap"][name][point] for name in ("quarter", "median", "three_quarters")]
    np.testing.assert_allclose(actual, expected, atol=0.05)


def test_a_perfect_map_finds_everything_at_every_rate(images):
    _, masks = images
    curves = measure(masks.astype(np.float32), masks)["curves"]
    assert set(curves["recall"]) == set(curves["pro"]) == {1.0}
    assert set(curves["overlap"]["quarter"]) == {1.0}


def test_a_map_without_contrast_finds_nothing_before_it_marks_everything(images):
    _, masks = images
    curves = measure(np.ones(masks.shape, np.float32), masks)["curves"]
    assert set(curves["overlap"]["three_quarters"][:-1]) == {0.0}
    assert curves["overlap"]["quarter"][-1] == 1.0
    np.testing.assert_allclose(curves["recall"], curves["fpr"], atol=1e-5)
