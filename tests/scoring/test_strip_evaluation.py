import dataclasses

import numpy as np
import pytest

from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.strip_evaluation import evaluate_strips

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def tiles(make_tiles):
    return make_tiles("test", 12, 2, num_anomalous=7)


@pytest.fixture
def measure(make_setup, make_tiles, tiles):
    """Returns a function that evaluates strips with an untrained model."""
    train, calibration = make_tiles("train", 6, 0), make_tiles("calibration", 6, 1)

    def measure(test=tiles, batch_size=256, names=("mse", "kl")):
        setup = make_setup(train=train, calibration=calibration, test=test)
        setup = dataclasses.replace(setup, trained=setup.trained.with_max_batch_size(batch_size))
        return evaluate_strips(setup, names, Baselines(train, 16, 0), {})

    return measure


def test_bright_squares_are_detected_in_strips_tiles_and_pixels(measure, tiles):
    evaluation = measure()
    assert evaluation.counts == {
        "normal_strips": 5, "anomalous_strips": 7, "rolls": 25, "clean": 21, "defects": 14,
    }  # fmt: skip
    assert set(evaluation.maps) == {"mse", "pca", "band_pca"}  # kl has no map
    for name, entry in evaluation.maps.items():
        assert entry["image"]["auroc"]["value"] > 0.95
        assert entry["patch"]["rolls"]["auroc"]["value"] > 0.95
        assert entry["patch"]["clean"]["auroc"]["value"] > 0.95
        # The cells of the bands are coarser than the squares.
        tolerance = 0.15 if name == "band_pca" else 0.05
        assert entry["pixel"]["pixel_auroc"] > 1 - tolerance
        assert entry["pixel"]["aupro"] > 0.95 - tolerance
        interval = entry["image"]["auroc"]
        assert interval["low"] <= interval["value"] <= interval["high"]
    # The strips to show are of both labels and have the first map.
    assert sorted(strip.label for strip in evaluation.shown) == [0, 0, 1, 1, 1, 1]
    assert {strip.map_name for strip in evaluation.shown} == {"mse"}
    assert {strip.file for strip in evaluation.shown} <= set(tiles.files)


def test_measures_do_not_depend_on_batch_size_or_on_the_order_of_tiles(measure, tiles):
    expected = measure()
    order = np.random.default_rng(0).permutation(len(tiles.files))
    for other in (measure(batch_size=3), measure(tiles.take(order))):
        assert other.counts == expected.counts
        for name, entry in expected.maps.items():
            for key in ("pixel_auroc", "pixel_ap", "aupro"):
                value = other.maps[name]["pixel"][key]
                assert value == pytest.approx(entry["pixel"][key], abs=2e-3)
            value = other.maps[name]["image"]["auroc"]["value"]
            assert value == pytest.approx(entry["image"]["auroc"]["value"], abs=1e-6)


def test_strips_with_missing_tiles_are_measured_where_tiles_are(measure, tiles):
    evaluation = measure(tiles.take(np.flatnonzero(tiles.offsets != 0)), names=("mse",))
    assert evaluation.maps["mse"]["pixel"]["pixel_auroc"] > 0.95
    for strip in evaluation.shown:
        assert not strip.covered[:, :4].any()
        assert np.isfinite(strip.values).all()


def test_the_map_of_pca_is_measured_and_shown_if_no_score_has_a_map(measure):
    evaluation = measure(names=("kl",))
    assert set(evaluation.maps) == {"pca", "band_pca"}
    assert {strip.map_name for strip in evaluation.shown} == {"pca"}


def test_images_that_are_not_tiles_are_not_evaluated_as_strips(measure, tiles):
    assert measure(dataclasses.replace(tiles, offsets=None)) is None


def test_without_normal_strips_the_other_measures_remain(measure, make_tiles):
    entry = measure(make_tiles("test", 4, 2, num_anomalous=4)).maps["mse"]
    assert "image" not in entry
    assert set(entry["patch"]) == {"clean"}
    assert entry["pixel"]["pixel_auroc"] > 0.9
