import dataclasses

import jax
import numpy as np
import pytest

from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.region import load_region
from vae_jax.model.vae import build_model, init_params
from vae_jax.scoring.localise import localise

NAMES = ("mse", "l1", "ssim", "kl", "elbo_gradient")


@pytest.fixture
def localised(config, dataset):
    """Runs `localise` with an untrained model on test images that hold a bright square each."""
    model = build_model(config, load_region(config.data))
    params = init_params(model, jax.random.key(0))
    test = dataset.test
    images, masks = test.images // 2, np.zeros(test.images.shape[:3], np.uint8)
    images[:20, 2:4, 2:4], masks[:20, 2:4, 2:4] = 255, 1

    def run(*, masks=masks, batch_size=256, smoothing=0.0, keep=lambda array: array):
        config.scoring.batch_size, config.scoring.map_smoothing = batch_size, smoothing
        marked = dataclasses.replace(
            test, images=images, masks=masks, has_mask=np.ones(len(images), bool)
        )
        train, calibration, marked = (
            dataclasses.replace(
                role,
                images=keep(role.images),
                masks=None if role.masks is None else keep(role.masks),
            )
            for role in (dataset.train, dataset.calibration, marked)
        )
        return localise(model, params, NAMES, train, calibration, marked, config.scoring, 0)

    return run


def test_maps_of_the_selected_scores_and_of_pca_find_a_bright_square(localised):
    found = localised()
    assert set(found) == {"mse", "l1", "ssim", "elbo_gradient", "pca"}  # kl has no map
    assert found["mse"]["pixel_auroc"] > 0.7
    for entry in found.values():
        assert set(entry) == {"pixel_auroc", "pixel_ap", "aupro", "intervals"}
        for measure, interval in entry["intervals"].items():
            assert 0 <= interval["low"] <= entry[measure] <= interval["high"] <= 1


def test_localisation_does_not_depend_on_batch_size(localised):
    whole, parts = localised(), localised(batch_size=7)
    for name, entry in whole.items():
        for measure in ("pixel_auroc", "pixel_ap", "aupro"):
            assert entry[measure] == pytest.approx(parts[name][measure], abs=2e-3)


def test_images_and_masks_on_disk_are_measured_as_those_in_memory_are(localised):
    assert localised() == localised(
        keep=lambda array: ImagesOnDisk.from_parts([array[:9], array[9:]])
    )


def test_smoothing_changes_the_maps(localised):
    assert localised()["mse"] != localised(smoothing=1.5)["mse"]


def test_without_masks_there_is_nothing_to_measure(localised):
    assert localised(masks=None) == {}
    assert localised(masks=np.zeros((25, 8, 8), np.uint8)) == {}


def test_pixels_outside_the_region_of_interest_do_not_count(config, dataset):
    """Only what lies inside is measured: with the square outside there is nothing to find."""
    test = dataset.test
    masks = np.zeros(test.images.shape[:3], np.uint8)
    masks[:20, 0, 0] = 1  # a corner, which the ellipse leaves out
    marked = dataclasses.replace(test, masks=masks, has_mask=np.ones(len(masks), bool))
    found = []
    for config.data.roi in ("", "ellipse"):
        model = build_model(config, load_region(config.data))
        params = init_params(model, jax.random.key(0))
        found.append(
            localise(
                model, params, NAMES, dataset.train, dataset.calibration, marked, config.scoring, 0
            )
        )
    assert set(found[0]["mse"]) == {"pixel_auroc", "pixel_ap", "aupro", "intervals"}
    assert found[1]["mse"] == {}
