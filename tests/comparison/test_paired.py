import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from tests.stored_runs import write_run
from vae_jax.comparison.multiple_tests import correct_by_holm
from vae_jax.comparison.paired import compare_over_seeds, compare_settings
from vae_jax.comparison.settings import group_runs
from vae_jax.comparison.stored_run import read_run
from vae_jax.metrics.auroc_difference import subtract_aurocs
from vae_jax.metrics.delong import delong_paired


def compare(folder, *runs):
    stored = [read_run(write_run(folder / str(i), **fields)) for i, fields in enumerate(runs)]
    return compare_settings(group_runs(stored))


def test_runs_with_the_same_seed_and_images_are_compared_image_by_image(settings):
    differences = compare_settings(settings)
    assert [(d.first.seed, d.second.seed) for d in differences] == [(0, 0), (1, 1), (2, 2)]
    for difference in differences:
        a, b = difference.first, difference.second
        compared = a.scores, b.scores, a.labels, a.groups
        for key, value in subtract_aurocs(*compared).items():
            assert getattr(difference, key) == value
        assert difference.p_value == delong_paired(*compared)["p_value"]
        assert difference.value == pytest.approx(a.auroc["value"] - b.auroc["value"])
    corrected = correct_by_holm([d.p_value for d in differences])
    assert [d.p_holm for d in differences] == corrected
    assert [d.is_clear for d in differences] == [p < 0.05 for p in corrected]
    certain = dataclasses.replace(differences[0], p_holm=0.01, low=-0.2, high=-0.1)
    assert certain.is_clear
    assert not dataclasses.replace(certain, high=0.1).is_clear
    assert not dataclasses.replace(certain, p_holm=0.06).is_clear


def test_the_mean_over_seeds_agrees_with_scipy(settings):
    differences = compare_settings(settings)
    (mean,) = compare_over_seeds(settings, differences)
    values = [d.value for d in differences]
    interval = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (mean.summary["low"], mean.summary["high"]) == pytest.approx(interval)
    assert (mean.first, mean.second) == (settings[0], settings[1])


def test_settings_without_a_common_seed_are_compared_where_the_images_are_the_same(tmp_path):
    # An official test split does not depend on the seed.
    (difference,) = compare(tmp_path, {}, {"model__latent_dim": 3, "noise": 9})
    assert (difference.first.seed, difference.second.seed) == (0, 0)
    fields = {"model__latent_dim": 3, "seed": 5}
    assert [(d.first.seed, d.second.seed) for d in compare(tmp_path / "other", {}, fields)] == [
        (0, 5)
    ]
    assert compare(tmp_path / "images", {}, fields | {"prefix": "b"}) == []


def test_groups_of_images_change_the_interval(tmp_path):
    other = {"data__crop": 0.5, "noise": 3}
    grouped, single = (
        compare(tmp_path / str(groups), {"groups": groups}, {"groups": groups, **other})
        for groups in (True, False)
    )
    assert grouped[0].value == single[0].value
    assert grouped[0].low != single[0].low
    assert (grouped[0].first.knows_groups, single[0].first.knows_groups) == (True, False)


def test_one_group_of_anomalies_gives_no_difference(tmp_path):
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b", data__crop=0.5)]
    for folder in folders:
        details = json.loads((folder / "details.json").read_text())
        details["groups"]["of_images"][40:] = [20] * 30
        (folder / "details.json").write_text(json.dumps(details))
    assert compare_settings(group_runs([read_run(folder) for folder in folders])) == []
