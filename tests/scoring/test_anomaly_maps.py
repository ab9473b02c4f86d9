import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.region import load_region
from vae_jax.scoring.anomaly_maps import MapScale, measure_localisation, measure_scale, split_rows
from vae_jax.scoring.baselines import Baselines

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = ("mse", "l1", "ssim", "kl", "elbo_gradient")
MEASURES = ("pixel_auroc", "pixel_ap", "aupro")


def measure(setup, names=NAMES):
    return measure_localisation(setup, names, Baselines(setup.dataset.train, 16, 0), {})


@pytest.fixture
def marked(dataset):
    """Dark test images; the first twenty contain a bright square, which is marked as abnormal."""
    images = dataset.test.images // 2
    masks = np.zeros(images.shape[:3], np.uint8)
    images[:20, 2:4, 2:4], masks[:20, 2:4, 2:4] = 255, 1
    has_mask = np.ones(len(images), bool)
    return dataclasses.replace(dataset.test, images=images, masks=masks, has_mask=has_mask)


def test_maps_of_scores_and_of_baselines_find_a_bright_square(make_setup, marked):
    results = measure(make_setup(test=marked))
    assert set(results) == {
        "mse",
        "l1",
        "ssim",
        "elbo_gradient",
        "pca",
        "band_pca",
    }  # kl has no map
    assert results["mse"]["pixel_auroc"] > 0.7
    for entry in results.values():
        assert set(entry) == {*MEASURES, "intervals", "curves"}
        for name, interval in entry["intervals"].items():
            assert 0 <= interval["low"] <= entry[name] <= interval["high"] <= 1


def test_localisation_does_not_depend_on_batch_size_or_on_where_images_are_stored(
    make_setup, marked, dataset
):
    def store(role):
        parts = [role.images[:9], role.images[9:]]
        return dataclasses.replace(role, images=ImagesOnDisk.from_parts(parts))

    setup = make_setup(test=marked)
    expected = measure(setup, ("mse",))
    in_small_batches = dataclasses.replace(setup, trained=setup.trained.with_max_batch_size(7))
    for name, entry in measure(in_small_batches, ("mse",)).items():
        for key in MEASURES:
            assert entry[key] == pytest.approx(expected[name][key], abs=2e-3)
    stored_test = dataclasses.replace(
        store(marked), masks=ImagesOnDisk.from_parts([marked.masks[:9], marked.masks[9:]])
    )
    on_disk = make_setup(
        train=store(dataset.train), calibration=store(dataset.calibration), test=stored_test
    )
    assert measure(on_disk, ("mse",)) == expected


def test_without_a_marked_pixel_there_is_nothing_to_measure(make_setup, marked):
    for masks in (None, np.zeros((25, 8, 8), np.uint8)):
        assert measure(make_setup(test=dataclasses.replace(marked, masks=masks))) == {}


def test_pixels_outside_the_region_of_interest_are_not_measured(config, make_setup, marked):
    config.data.roi = "ellipse"
    masks = np.zeros_like(marked.masks)
    masks[:20, 0, 0] = 1  # a corner, which is outside the ellipse
    test = dataclasses.replace(marked, masks=masks)
    everywhere, inside = (
        measure(make_setup(test=test, region=region), ("mse",))
        for region in (None, load_region(config.data))
    )
    assert set(everywhere["mse"]) == {*MEASURES, "intervals", "curves"}
    assert inside["mse"] == {}


@pytest.mark.parametrize("smoothing", [0.0, 1.5])
def test_scaled_maps_of_normals_have_mean_zero_and_deviation_one(smoothing):
    maps = np.random.default_rng(0).gamma(2.0, size=(50, 6, 5))
    scale = MapScale.fit([{"a": maps[:20]}, {"a": maps[20:]}], smoothing)
    scaled = scale.apply({"a": maps})["a"]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-6)
    smooth = ndimage.gaussian_filter(maps, (0, smoothing, smoothing)) if smoothing else maps
    np.testing.assert_allclose(scaled, (smooth - smooth.mean(axis=0)) / smooth.std(axis=0))


def test_a_pixel_that_never_varies_gets_a_tenth_of_the_mean_deviation():
    maps = np.random.default_rng(0).normal(size=(50, 1, 10))
    maps[:, 0, 0] = 3
    deviations = maps.std(axis=0)
    scaled = MapScale.fit([{"a": maps}], 0.0).apply({"a": maps + 1})["a"]
    np.testing.assert_allclose(scaled[:, 0, 0], 1 / (0.1 * deviations.mean()))


def test_scale_is_measured_on_all_calibration_normals(make_setup):
    setup = make_setup()
    setup = dataclasses.replace(setup, trained=setup.trained.with_max_batch_size(7))
    normals = setup.dataset.calibration

    def mapper(examples):
        return {"a": examples.images[..., 0] / 255}

    in_chunks = measure_scale(mapper, setup).apply(mapper(normals))
    smoothing = setup.scoring_config.map_smoothing
    together = MapScale.fit([mapper(normals)], smoothing).apply(mapper(normals))
    np.testing.assert_allclose(in_chunks["a"], together["a"], atol=1e-9)


def test_rows_are_split_in_order_into_chunks_of_at_most_the_size():
    chunks = list(split_rows(np.arange(7), 3))
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(chunks), np.arange(7))
