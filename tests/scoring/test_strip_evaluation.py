import dataclasses

import jax
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vae_jax.data.examples import Examples
from vae_jax.model.vae import build_model, init_params
from vae_jax.scoring.strip_evaluation import rank_tiles, strips

STARTS = (0, 4, 8, 12, 16)
LENGTH = 24


def make_tiles(name, num_strips, seed, num_abnormal=0):
    """Tiles of grey noise; the last strips bear a bright square at columns 9 and 10."""
    rng = np.random.default_rng(seed)
    images = rng.integers(60, 100, (num_strips, 8, LENGTH), np.uint8)
    masks = np.zeros_like(images)
    masks[num_strips - num_abnormal :, 3:5, 9:11] = 1
    images[masks > 0] = 255

    def cut(whole):
        return np.concatenate([[one[:, at : at + 8] for at in STARTS] for one in whole])

    num = num_strips * len(STARTS)
    files = [f"{name}/{strip}.png" for strip in range(num_strips) for _ in STARTS]
    tile_masks = cut(masks)
    return Examples(
        images=cut(images)[..., None],
        labels=tile_masks.any((1, 2)).astype(np.int32),
        classes=["tile"] * num,
        files=files,
        groups=files,
        stored_size=np.tile(np.array([LENGTH, 8, 99], np.int32), (num, 1)),
        masks=tile_masks,
        has_mask=np.ones(num, bool),
        offsets=np.tile(np.array(STARTS, np.int32), num_strips),
    )


@pytest.fixture
def test_tiles():
    return make_tiles("test", 12, 2, num_abnormal=7)


@pytest.fixture
def measure(config, test_tiles):
    """Measures the maps of an untrained model on strips."""
    model = build_model(config)
    params = init_params(model, jax.random.key(0))
    train, calibration = make_tiles("train", 6, 0), make_tiles("calibration", 6, 1)

    def run(test=test_tiles, batch_size=256, names=("mse", "l1", "kl")):
        config.scoring.batch_size = batch_size
        return strips(model, params, names, train, calibration, test, config.scoring, 0)

    return run


def test_bright_squares_are_found_at_every_level(measure):
    found, _ = measure()
    assert found["counts"] == {
        "normal_strips": 5, "anomalous_strips": 7, "rolls": 25, "clean": 21, "defects": 14,
    }  # fmt: skip
    assert set(found["maps"]) == {"mse", "l1", "pca"}  # kl has no map
    for name in ("mse", "pca"):
        entry = found["maps"][name]
        assert entry["image"]["auroc"]["value"] > 0.95
        assert entry["patch"]["rolls"]["auroc"]["value"] > 0.95
        assert entry["patch"]["clean"]["auroc"]["value"] > 0.95
        assert entry["pixel"]["pixel_auroc"] > 0.95
        assert entry["pixel"]["aupro"] > 0.9
        interval = entry["image"]["auroc"]
        assert interval["low"] <= interval["value"] <= interval["high"]


def test_nothing_depends_on_batch_size_or_on_the_order_of_tiles(measure, test_tiles):
    whole, _ = measure()
    parts, _ = measure(batch_size=3)
    order = np.random.default_rng(0).permutation(len(test_tiles.files))
    shuffled, _ = measure(test_tiles.take(order))
    for other in (parts, shuffled):
        assert other["counts"] == whole["counts"]
        for name, entry in whole["maps"].items():
            for measure in ("pixel_auroc", "pixel_ap", "aupro"):
                value = other["maps"][name]["pixel"][measure]
                assert value == pytest.approx(entry["pixel"][measure], abs=2e-3)
            value = other["maps"][name]["image"]["auroc"]["value"]
            assert value == pytest.approx(entry["image"]["auroc"]["value"], abs=1e-6)


def test_strips_with_tiles_left_out_are_measured_on_what_is_there(measure, test_tiles):
    kept = np.flatnonzero(test_tiles.offsets != 0)
    found, shown = measure(test_tiles.take(kept))
    assert found["maps"]["mse"]["pixel"]["pixel_auroc"] > 0.95
    for strip in shown:
        assert not strip.covered[:, :4].any()
        assert np.isfinite(strip.values).all()


def test_strips_to_show_are_of_both_kinds_and_bear_the_first_map(measure, test_tiles):
    _, shown = measure(names=("kl", "mse", "l1"))
    assert len(shown) == 6
    assert sorted(strip.label for strip in shown) == [0, 0, 1, 1, 1, 1]
    assert {strip.map_name for strip in shown} == {"mse"}
    assert {strip.file for strip in shown} <= set(test_tiles.files)


def test_where_no_score_has_a_map_that_of_pca_is_measured_and_shown(measure):
    found, shown = measure(names=("kl",))
    assert set(found["maps"]) == {"pca"}
    assert {strip.map_name for strip in shown} == {"pca"}


def test_images_that_are_no_tiles_are_no_strips(measure, test_tiles):
    assert measure(dataclasses.replace(test_tiles, offsets=None)) == ({}, [])


def test_without_normal_strips_what_can_be_measured_is(measure, test_tiles):
    found, _ = measure(make_tiles("test", 4, 2, num_abnormal=4))
    entry = found["maps"]["mse"]
    assert "image" not in entry
    assert set(entry["patch"]) == {"clean"}
    assert entry["pixel"]["pixel_auroc"] > 0.9


def test_scores_of_tiles_rank_strips_and_each_kind_of_tile(config, test_tiles):
    values = np.random.default_rng(0).normal(size=60) + test_tiles.labels
    entry = rank_tiles({"mse": values}, test_tiles, config.scoring, 0)["mse"]
    strip_values, strip_labels = values.reshape(12, 5).max(axis=1), np.arange(12) >= 5
    defect = test_tiles.labels == 1
    rolls, clean = np.arange(60) < 25, (np.arange(60) >= 25) & ~defect
    assert entry["image"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(strip_labels, strip_values)
    )
    for name, against in (("rolls", rolls), ("clean", clean)):
        chosen = against | defect
        assert entry["patch"][name]["auroc"]["value"] == pytest.approx(
            roc_auc_score(defect[chosen], values[chosen])
        )


def test_a_strip_whose_marked_tiles_were_left_out_stays_anomalous(config, test_tiles):
    beside = np.repeat(np.arange(12) >= 5, 5)
    names = np.where(test_tiles.labels == 1, "defect", np.where(beside, "clean", "roll"))
    marked = dataclasses.replace(test_tiles, classes=names.tolist())
    last = np.arange(60) >= 55
    kept = marked.take(np.flatnonzero(~(last & (test_tiles.labels == 1))))
    values = np.random.default_rng(0).normal(size=len(kept.files))
    entry = rank_tiles({"mse": values}, kept, config.scoring, 0)["mse"]
    highest = [values[np.array(kept.files) == f"test/{i}.png"].max() for i in range(12)]
    assert entry["image"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(np.arange(12) >= 5, highest)
    )
