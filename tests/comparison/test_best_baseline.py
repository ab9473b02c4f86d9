import dataclasses

import pytest

from tests.stored_runs import write_run
from vae_jax.comparison.best_baseline import BETTER, UNCLEAR, WORSE, find_best_baseline
from vae_jax.comparison.stored_run import read_run


@pytest.fixture
def run(tmp_path):
    """A run in which the model and both baselines have an AUROC that a test can change."""
    return read_run(write_run(tmp_path / "a"))


def change(run, model=None, differences=None, **aurocs):
    """Returns the run with other AUROCs of baselines (value, low, high) and other p-values."""
    results = dict(run.results)
    results["baselines"] = {
        name: {"auroc": dict(zip(("value", "low", "high"), ends, strict=True))}
        for name, ends in aurocs.items()
    }
    if model:
        auroc = dict(zip(("value", "low", "high"), model, strict=True))
        results["detection"] = {"mse": {"auroc": auroc}}
    results["differences"] = differences or {}
    return dataclasses.replace(run, results=results)


def test_a_feature_whose_low_values_are_abnormal_counts_in_its_better_direction(run):
    best = find_best_baseline(change(run, pca=(0.6, 0.5, 0.7), stored_width=(0.2, 0.1, 0.35)))
    assert (best.name, best.is_reversed, best.p_holm) == ("stored_width", True, None)
    assert (best.value, best.low, best.high) == pytest.approx((0.8, 0.65, 0.9))


@pytest.mark.parametrize(
    ("model", "p_value", "verdict"),
    [(0.9, 0.001, BETTER), (0.9, 0.04, UNCLEAR), (0.7, 0.001, WORSE), (0.7, 0.3, UNCLEAR)],
)
def test_the_verdict_follows_the_p_value_corrected_for_all_baselines(run, model, p_value, verdict):
    apart = {"low": 0.01, "high": 0.2}
    differences = {"pca": {"p_value": p_value} | apart, "std": {"delong": {"p_value": 0.5}}}
    changed = change(
        run, (model, 0.6, 0.95), differences, pca=(0.8, 0.7, 0.9), std=(0.55, 0.4, 0.6)
    )
    best = find_best_baseline(changed)
    assert best.verdict == verdict
    assert best.p_holm == pytest.approx(2 * p_value if p_value < 0.25 else 0.6)


def test_an_interval_that_contains_0_is_no_clear_difference(run):
    differences = {"pca": {"p_value": 1e-5, "low": -0.2, "high": 0.01}}
    changed = change(run, (0.9, 0.6, 0.95), differences, pca=(0.8, 0.7, 0.9))
    assert find_best_baseline(changed).verdict == UNCLEAR


@pytest.mark.parametrize(
    ("model", "verdict"),
    [((0.95, 0.91, 0.98), BETTER), ((0.85, 0.8, 0.92), UNCLEAR), ((0.6, 0.5, 0.69), WORSE)],
)
def test_without_a_p_value_only_intervals_apart_are_a_difference(run, model, verdict):
    assert find_best_baseline(change(run, model, pca=(0.8, 0.7, 0.9))).verdict == verdict


def test_a_run_without_baselines_has_none(run):
    assert find_best_baseline(change(run)) is None
