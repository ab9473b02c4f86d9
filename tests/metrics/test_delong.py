import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from vae_jax.metrics import bootstrap, delong


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
    _, covariance = delong._estimate([scores], labels, np.arange(len(labels)))
    assert covariance.total[0, 0] == pytest.approx(by_definition(scores, labels), abs=1e-12)
    assert 0 <= result["low"] <= result["value"] <= result["high"] <= 1


def test_agrees_with_the_bootstrap():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [300, 200])
    a = rng.normal(size=500) + labels
    b = a + rng.normal(size=500)
    for ours, resampled in (
        (delong.delong(a, labels), bootstrap.rank(a, labels, 4000).intervals()["auroc"]),
        (
            delong.delong_paired(a, b, labels),
            bootstrap.rank(a, labels, 4000).auroc_minus(bootstrap.rank(b, labels, 4000)),
        ),
    ):
        assert ours["value"] == pytest.approx(resampled["value"])
        assert ours["low"] == pytest.approx(resampled["low"], abs=0.005)
        assert ours["high"] == pytest.approx(resampled["high"], abs=0.005)


def test_agrees_with_the_bootstrap_on_real_images():
    images, digits = load_digits(return_X_y=True)
    train, test = images[:900], images[900:]
    normal, labels = train[digits[:900] != 8], (digits[900:] == 8).astype(int)
    to_mean = np.linalg.norm(test - normal.mean(axis=0), axis=1)
    to_nearest = cdist(test, normal).min(axis=1)
    for scores in (to_mean, to_nearest):
        ours = delong.delong(scores, labels)
        resampled = bootstrap.rank(scores, labels, 2000).intervals()["auroc"]
        assert ours["low"] == pytest.approx(resampled["low"], abs=0.01)
        assert ours["high"] == pytest.approx(resampled["high"], abs=0.01)
    ours = delong.delong_paired(to_nearest, to_mean, labels)
    resampled = bootstrap.rank(to_nearest, labels, 2000).auroc_minus(
        bootstrap.rank(to_mean, labels, 2000)
    )
    assert ours["low"] == pytest.approx(resampled["low"], abs=0.01)
    assert ours["high"] == pytest.approx(resampled["high"], abs=0.01)


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
    ranking = bootstrap.rank(scores, labels, 3000, groups=groups)
    _, covariance = delong._estimate([scores], labels, groups)
    assert covariance.total[0, 0] ** 0.5 == pytest.approx(
        ranking.resampled["auroc"].std(), rel=0.06
    )
    _, alone = delong._estimate([scores], labels, np.arange(len(groups)))
    assert covariance.total[0, 0] > 1.5 * alone.total[0, 0]


def test_newcombes_interval_is_that_of_his_quadratic_equation_at_perfect_separation():
    # With M = P = 10 and A = 1: (1 - t)^2 = z^2 t (1 - t) (1 + 9 ((1 - t) / (2 - t) + t / (1 + t))) / 100.
    low = delong.delong(np.arange(20.0), np.repeat([0, 1], 10))["low"]
    variance = low * (1 - low) * (1 + 9 * ((1 - low) / (2 - low) + low / (1 + low))) / 100
    assert 1 - low == pytest.approx(stats.norm.ppf(0.975) * variance**0.5)
