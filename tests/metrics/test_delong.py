import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from vae_jax.metrics import delong
from vae_jax.metrics.auroc_difference import subtract_aurocs


def by_definition(scores, labels):
    """DeLong's variance from all pairs, as in the paper of 1988."""
    anomalies, normals = scores[labels == 1], scores[labels == 0]
    wins = (anomalies[:, None] > normals) + 0.5 * (anomalies[:, None] == normals)
    v10, v01 = wins.mean(axis=1), wins.mean(axis=0)
    return np.var(v10, ddof=1) / len(v10) + np.var(v01, ddof=1) / len(v01)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), max_size=30))
def test_variance_is_that_of_the_definition(pairs):
    table = np.array([*pairs, (0, 0), (3, 0), (2, 1), (5, 1)])
    scores, labels = table[:, 0].astype(float), table[:, 1]
    result = delong.delong(scores, labels)
    assert result["value"] == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
    _, covariance = delong.estimate([scores], labels, np.arange(len(labels)))
    assert covariance.total[0, 0] == pytest.approx(by_definition(scores, labels), abs=1e-12)
    assert 0 <= result["low"] <= result["value"] <= result["high"] <= 1


def resample_aurocs(columns, labels, num_resamples, groups=None, seed=0):
    """The AUROC of each score in each resample of whole groups; groups of each kind of label apart."""
    rng = np.random.default_rng(seed)
    groups = np.arange(len(labels)) if groups is None else groups
    members = {group: np.flatnonzero(groups == group) for group in np.unique(groups)}
    kinds = {}
    for group, rows in members.items():
        kinds.setdefault(tuple(np.unique(labels[rows])), []).append(group)
    aurocs = []
    for _ in range(num_resamples):
        drawn = [rng.choice(names, len(names)) for names in kinds.values()]
        rows = np.concatenate([members[group] for names in drawn for group in names])
        num_anomalies = labels[rows].sum()
        pairs = num_anomalies * (len(rows) - num_anomalies)
        ranks = stats.rankdata([values[rows] for values in columns], axis=1)
        smallest = num_anomalies * (num_anomalies + 1) / 2
        aurocs.append((ranks[:, labels[rows] == 1].sum(axis=1) - smallest) / pairs)
    return np.array(aurocs).T


def test_intervals_and_differences_agree_with_the_percentile_bootstrap():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 200])
    a = rng.normal(size=500) + labels
    b = a + rng.normal(size=500)
    images, digits = load_digits(return_X_y=True)
    train, test = images[:900], images[900:]
    normal, is_eight = train[digits[:900] != 8], (digits[900:] == 8).astype(int)
    to_mean = np.linalg.norm(test - normal.mean(axis=0), axis=1)
    to_nearest = cdist(test, normal).min(axis=1)
    for first, second, truth in ((a, b, labels), (to_nearest, to_mean, is_eight)):
        of_first, of_second = resample_aurocs([first, second], truth, 800)
        for ours, resampled in (
            (delong.delong(first, truth), of_first),
            (delong.delong(second, truth), of_second),
            (delong.delong_paired(first, second, truth), of_first - of_second),
            (subtract_aurocs(first, second, truth), of_first - of_second),
        ):
            low, high = np.quantile(resampled, [0.025, 0.975])
            assert ours["low"] == pytest.approx(low, abs=0.02)
            assert ours["high"] == pytest.approx(high, abs=0.02)


def test_p_values_of_equally_good_scores_are_uniform():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 80)
    p_values = []
    for _ in range(300):
        shared = rng.normal(size=160) + labels
        a, b = (shared + 0.5 * rng.normal(size=160) for _ in range(2))
        p_values.append(delong.delong_paired(a, b, labels)["p_value"])
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_a_score_compared_with_itself_has_no_difference_and_no_variance():
    scores, labels = np.array([0.0, 2.0, 1.0, 3.0]), np.array([0, 0, 1, 1])
    result = delong.delong_paired(scores, scores, labels)
    assert result == {"value": 0.0, "variance": 0.0, "low": 0.0, "high": 0.0, "p_value": 1.0}


def test_the_difference_of_a_single_anomaly_is_refused():
    with pytest.raises(ValueError, match="found 3 normals and 1 anomalies"):
        delong.delong_paired(np.arange(4.0), np.arange(4.0), np.array([0, 0, 0, 1]))


def test_a_single_anomaly_has_a_wide_interval():
    interval = delong.delong(np.arange(4.0), np.array([0, 0, 0, 1]))
    assert interval["value"] == interval["high"] == 1
    assert interval["low"] < 0.4


def test_the_variance_with_groups_is_that_of_resampled_groups():
    # Groups of normals, of anomalies and of both, of one to four images that share a part of their score.
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(240), rng.integers(1, 5, 240))
    kind = rng.integers(0, 3, 240)[groups]
    labels = np.where(kind == 2, rng.integers(0, 2, len(groups)), kind)
    scores = rng.normal(size=240)[groups] + 0.5 * rng.normal(size=len(groups)) + labels
    (resampled,) = resample_aurocs([scores], labels, 1000, groups)
    _, covariance = delong.estimate([scores], labels, groups)
    assert covariance.total[0, 0] ** 0.5 == pytest.approx(resampled.std(), rel=0.07)
    _, alone = delong.estimate([scores], labels, np.arange(len(groups)))
    assert covariance.total[0, 0] > 1.5 * alone.total[0, 0]


def test_newcombes_interval_is_that_of_his_quadratic_equation_at_perfect_separation():
    # With M = P = 10 and A = 1: (1 - t)^2 = z^2 t (1 - t) (1 + 9 ((1 - t) / (2 - t) + t / (1 + t))) / 100.
    low = delong.delong(np.arange(20.0), np.repeat([0, 1], 10))["low"]
    variance = low * (1 - low) * (1 + 9 * ((1 - low) / (2 - low) + low / (1 + low))) / 100
    assert 1 - low == pytest.approx(stats.norm.ppf(0.975) * variance**0.5)
