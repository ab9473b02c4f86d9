import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vae_jax.metrics import bootstrap, detection


def normal_scores(seed, num_normals=60, num_anomalies=40, shift=1.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [num_normals, num_anomalies])
    return rng.normal(size=len(labels)) + shift * labels, labels


def test_metrics_of_each_resample_are_those_of_sklearn():
    rng = np.random.default_rng(0)
    normals, anomalies = rng.integers(0, 4, (5, 6)), rng.integers(0, 4, (5, 6))
    normals[:, 0] += 30 - normals.sum(axis=1)
    anomalies[:, 1] += 40 - anomalies.sum(axis=1)
    metrics = bootstrap._measure(normals, anomalies)
    falling = -np.arange(6.0)
    for r in range(5):
        scores = np.concatenate([np.repeat(falling, normals[r]), np.repeat(falling, anomalies[r])])
        labels = np.repeat([0, 1], [30, 40])
        assert metrics["auroc"][r] == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
        assert metrics["auprc"][r] == pytest.approx(
            sklearn.metrics.average_precision_score(labels, scores)
        )
        assert metrics["fpr95"][r] == pytest.approx(detection.fpr_at_tpr(scores, labels))


def test_interval_is_that_of_a_loop_over_resamples():
    scores, labels = normal_scores(1)
    rng = np.random.default_rng(2)
    normals, anomalies = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    looped = []
    for _ in range(600):
        drawn = np.append(rng.choice(normals, len(normals)), rng.choice(anomalies, len(anomalies)))
        statistic = stats.mannwhitneyu(scores[drawn[60:]], scores[drawn[:60]]).statistic
        looped.append(statistic / (60 * 40))
    interval = bootstrap.rank(scores, labels, 3000, seed=0).intervals()["auroc"]
    np.testing.assert_allclose(
        [interval["low"], interval["high"]], np.quantile(looped, [0.025, 0.975]), atol=0.01
    )


def test_interval_contains_the_true_auroc_in_95_percent_of_cases():
    # For two standard normals with means d apart the AUROC is Phi(d / sqrt(2)), which is 0.7602 for d = 1.
    covered = 0
    for seed in range(300):
        ranking = bootstrap.rank(*normal_scores(seed), num_resamples=300, seed=seed)
        interval = ranking.intervals()["auroc"]
        covered += interval["low"] <= 0.7602 <= interval["high"]
    assert 0.91 <= covered / 300 <= 0.98


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=12).map(
        lambda pairs: np.array([*pairs, (0, 0), (1, 1)])
    )
)
def test_intervals_contain_their_value_and_lie_in_the_unit_interval(pairs):
    intervals = bootstrap.rank(pairs[:, 0].astype(float), pairs[:, 1], num_resamples=20).intervals()
    for entry in intervals.values():
        assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1


def test_intervals_depend_on_the_seed_and_not_on_the_size_of_chunks(monkeypatch):
    scores, labels = normal_scores(3)
    whole = bootstrap.rank(scores, labels, 50, seed=7).intervals()
    assert whole == bootstrap.rank(scores, labels, 50, seed=7).intervals()
    assert whole != bootstrap.rank(scores, labels, 50, seed=8).intervals()
    monkeypatch.setattr(bootstrap, "_CHUNK", 300)
    rows = [len(c["auroc"]) for c in bootstrap._resample(scores, labels, 50, seed=7)]
    assert max(rows) == 3
    assert sum(rows) == 50


def test_the_interval_of_perfect_separation_is_a_point():
    labels = np.repeat([0, 1], 20)
    intervals = bootstrap.rank(labels.astype(float), labels, 100).intervals()
    assert intervals["auroc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert intervals["fpr95"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_difference_of_a_score_from_itself_is_zero():
    scores, labels = normal_scores(4)
    same = bootstrap.rank(scores, labels, 100).auroc_minus(
        bootstrap.rank(np.exp(scores), labels, 100)
    )
    assert same == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_interval_of_a_difference_is_narrower_than_those_of_both_scores():
    scores, labels = normal_scores(5)
    blurred = scores + np.random.default_rng(6).normal(scale=0.3, size=len(scores))
    a, b = (bootstrap.rank(s, labels).intervals()["auroc"] for s in (scores, blurred))
    difference = bootstrap.rank(scores, labels).auroc_minus(bootstrap.rank(blurred, labels))
    assert difference["value"] == a["value"] - b["value"]
    width = difference["high"] - difference["low"]
    assert width < 0.7 * min(a["high"] - a["low"], b["high"] - b["low"])


def test_nan_and_labels_of_a_single_class_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        bootstrap.rank(np.array([np.nan, 1.0]), np.array([0, 1])).intervals()
    with pytest.raises(ValueError, match="needs both"):
        bootstrap.rank(np.array([0.0, 1.0]), np.array([1, 1])).intervals()
