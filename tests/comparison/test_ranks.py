import itertools

import numpy as np
import pytest
from scipy import stats

from vae_jax.comparison.ranks import compute_critical_difference, rank_competitors

# Table 5 of Demšar 2006: critical values of the Nemenyi test at 5 %, for 2 to 10 classifiers.
DEMSAR = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)


@pytest.mark.parametrize(("num_competitors", "quantile"), list(enumerate(DEMSAR, 2)))
def test_critical_differences_agree_with_the_table_of_demsar(num_competitors, quantile):
    expected = quantile * np.sqrt(num_competitors * (num_competitors + 1) / (6 * 14))
    assert compute_critical_difference(14, num_competitors) == pytest.approx(expected, abs=1e-3)


def test_average_ranks_of_the_example_of_demsar():
    # Table 6 of Demšar 2006: AUROCs of four variants of C4.5 on 14 datasets.
    aurocs = np.array(
        [
            [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
            [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
            [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
            [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
            [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
        ]
    )  # fmt: skip
    ranks = rank_competitors(aurocs)
    assert ranks.average == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=1e-3)
    assert ranks.critical_difference == pytest.approx(1.25, abs=0.01)
    assert ranks.p_value < 0.05


def test_the_statistic_agrees_with_scipy_also_with_ties():
    values = np.round(np.random.default_rng(0).random((7, 4)), 1)
    expected = stats.friedmanchisquare(*values.T)
    assert rank_competitors(values).statistic == pytest.approx(expected.statistic)


def test_the_p_value_agrees_with_all_permutations():
    values = np.array([[0.9, 0.5, 0.1], [0.8, 0.7, 0.2], [0.3, 0.9, 0.1]])
    ranks = stats.rankdata(-values, axis=1)
    spread = np.sum(ranks.mean(axis=0) ** 2)
    orders = list(itertools.permutations((1.0, 2.0, 3.0)))
    spreads = [
        np.sum(np.mean(choice, axis=0) ** 2) for choice in itertools.product(orders, repeat=3)
    ]
    exact = np.mean(np.array(spreads) >= spread - 1e-9)
    assert rank_competitors(values).p_value == pytest.approx(exact, abs=0.012)


def test_competitors_that_always_tie_do_not_differ():
    ranks = rank_competitors(np.full((4, 3), 0.7))
    assert ranks.average.tolist() == [2, 2, 2]
    assert (ranks.statistic, ranks.p_value) == (0, 1)
    assert ranks.find_cliques() == [(0, 2)]


def test_cliques_are_the_largest_groups_within_the_critical_difference():
    rng = np.random.default_rng(1)
    ranks = rank_competitors(np.array([0.9, 0.8, 0.5, 0.4, 0.1]) + 0.15 * rng.random((12, 5)))
    places = np.sort(ranks.average)
    groups = [
        (i, j)
        for i in range(5)
        for j in range(i + 1, 5)
        if places[j] - places[i] < ranks.critical_difference
    ]
    largest = [
        (i, j)
        for i, j in groups
        if not any(a <= i and j <= b and (a, b) != (i, j) for a, b in groups)
    ]
    assert ranks.find_cliques() == largest


@pytest.mark.parametrize(("datasets", "can_differ"), [(1, False), (2, False), (5, True)])
def test_ranks_over_too_few_datasets_cannot_differ(datasets, can_differ):
    assert rank_competitors(np.random.default_rng(0).random((datasets, 4))).can_differ == can_differ


def test_one_competitor_is_not_ranked():
    with pytest.raises(ValueError, match="two competitors"):
        rank_competitors(np.ones((3, 1)))
