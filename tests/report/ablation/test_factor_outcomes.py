import numpy as np
import pytest
from scipy import stats

from vae_jax.report.ablation.factor_outcomes import (
    average_by_seed,
    compare_with_base,
    group_by_factor,
    summarise_seeds,
)


def test_interval_over_seeds_agrees_with_scipy(levels, outcomes):
    factor = group_by_factor(levels, outcomes, "one_at_a_time")[0]
    by_seed = average_by_seed(factor, "4", "auroc")
    assert list(by_seed) == [0, 1, 2]
    values = list(by_seed.values())
    summary = summarise_seeds(by_seed)
    interval = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert (summary["low"], summary["high"]) == pytest.approx(interval)


def test_without_a_seed_there_is_no_summary():
    assert summarise_seeds({}) is None


def test_the_difference_from_the_base_is_taken_for_each_seed(levels, outcomes):
    factor = group_by_factor(levels, outcomes, "one_at_a_time")[0]
    difference = compare_with_base(factor, "128", "auroc")
    assert difference["mean"] == pytest.approx(0.01)
    assert difference["spread"] == pytest.approx(0, abs=1e-12)
    assert summarise_seeds(average_by_seed(factor, "128", "auroc"))["spread"] > 0.09


def test_seeds_that_lack_a_level_are_left_out_of_the_difference(levels, outcomes):
    outcomes = [o for o in outcomes if (o.seed, o.levels["model.latent_dim"]) != (2, "128")]
    factor = group_by_factor(levels, outcomes, "one_at_a_time")[0]
    assert compare_with_base(factor, "128", "auroc")["num_seeds"] == 2
    assert compare_with_base(factor, "128", "unknown") is None


def test_one_at_a_time_uses_cells_in_which_the_other_factors_are_at_their_base(levels, outcomes):
    latent_dim, likelihood = group_by_factor(levels, outcomes, "one_at_a_time")
    assert {o.levels["model.likelihood"] for o in latent_dim.outcomes} == {"bernoulli"}
    assert {o.levels["model.latent_dim"] for o in likelihood.outcomes} == {"16"}


def test_a_full_design_averages_over_the_other_factors_unless_a_cell_is_missing(
    levels, make_outcome
):
    outcomes = [
        make_outcome("16", "bernoulli", 0, 0.6), make_outcome("16", "laplace", 0, 0.8),
        make_outcome("4", "bernoulli", 0, 0.5),
        make_outcome("4", "laplace", 0, 0.0, status="crashed", error="x", measures={}),
    ]  # fmt: skip
    factor = group_by_factor(levels, outcomes, "full")[0]
    assert average_by_seed(factor, "16", "auroc") == pytest.approx({0: 0.7})
    assert average_by_seed(factor, "4", "auroc") == {}


def test_numbers_are_sorted_and_words_keep_the_order_of_the_user(levels, outcomes):
    latent_dim, likelihood = group_by_factor(levels, outcomes, "one_at_a_time")
    assert latent_dim.levels == ["4", "16", "128"]
    assert latent_dim.base == "16"
    assert likelihood.levels == ["bernoulli", "laplace"]
