import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vae_jax.scoring.tile_groups import group_tiles, rank_tiles


@pytest.fixture(scope="module")
def tiles(make_tiles):
    """Twelve strips of five tiles; the last seven strips are anomalous."""
    return make_tiles("test", 12, 2, num_anomalous=7)


def test_every_tile_belongs_to_one_strip_and_to_one_kind(tiles):
    groups = group_tiles(tiles)
    assert [rows.tolist() for rows in groups.rows_of_strip.values()] == [
        list(range(start, start + 5)) for start in range(0, 60, 5)
    ]
    assert groups.anomalous == {f"test/{i}.png" for i in range(5, 12)}
    assert {kind: int(rows.sum()) for kind, rows in groups.kinds.items()} == {
        "rolls": 25, "clean": 21, "defects": 14,
    }  # fmt: skip
    assert (sum(rows.astype(int) for rows in groups.kinds.values()) == 1).all()


def test_tile_scores_rank_strips_and_each_kind_of_tile(config, tiles):
    values = np.random.default_rng(0).normal(size=60) + tiles.labels
    entry = rank_tiles({"mse": values}, group_tiles(tiles))["mse"]
    strip_values, strip_labels = values.reshape(12, 5).max(axis=1), np.arange(12) >= 5
    assert entry["image"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(strip_labels, strip_values)
    )
    is_defect = tiles.labels == 1
    rolls, clean = np.arange(60) < 25, (np.arange(60) >= 25) & ~is_defect
    for name, is_kind in (("rolls", rolls), ("clean", clean)):
        rows = is_kind | is_defect
        assert entry["patch"][name]["auroc"]["value"] == pytest.approx(
            roc_auc_score(is_defect[rows], values[rows])
        )


def test_a_strip_whose_tiles_with_a_defect_are_missing_stays_anomalous(config, tiles):
    in_anomalous_strip = np.repeat(np.arange(12) >= 5, 5)
    classes = np.where(tiles.labels == 1, "defect", np.where(in_anomalous_strip, "clean", "roll"))
    named = dataclasses.replace(tiles, classes=classes.tolist())
    in_last_strip = np.arange(60) >= 55
    part = named.take(np.flatnonzero(~(in_last_strip & (tiles.labels == 1))))
    assert "test/11.png" in group_tiles(part).anomalous
    values = np.random.default_rng(0).normal(size=len(part.files))
    entry = rank_tiles({"mse": values}, group_tiles(part))["mse"]
    highest = [values[np.array(part.files) == f"test/{i}.png"].max() for i in range(12)]
    assert entry["image"]["auroc"]["value"] == pytest.approx(
        roc_auc_score(np.arange(12) >= 5, highest)
    )


def test_a_ranking_without_normal_strips_is_absent(config, make_tiles):
    tiles = make_tiles("test", 4, 2, num_anomalous=4)
    entry = rank_tiles({"mse": np.arange(20.0)}, group_tiles(tiles))["mse"]
    assert "image" not in entry
    assert set(entry["patch"]) == {"clean"}
