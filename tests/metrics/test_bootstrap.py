import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from vae_jax.metrics import bootstrap, detection


def normal_scores(seed, num_normals=60, num_anomalies=40, shift=1.0):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [num_normals, num_anomalies])
    return rng.normal(size=len(labels)) + shift * labels, labels


def test_each_resample_is_measured_as_sklearn_would():
    rng = np.random.default_rng(0)
    normals, anomalies = rng.integers(0, 4, (5, 6)), rng.integers(0, 4, (5, 6))
    normals[:, 0] += 30 - normals.sum(axis=1)
    anomalies[:, 1] += 40 - anomalies.sum(axis=1)
    found = bootstrap._measure(normals, anomalies)
    falling = -np.arange(6.0)
    for r in range(5):
        scores = np.concatenate([np.repeat(falling, normals[r]), np.repeat(falling, anomalies[r])])
        labels = np.repeat([0, 1], [30, 40])
        assert found["auroc"][r] == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))
        assert found["auprc"][r] == pytest.approx(
            sklearn.metrics.average_precision_score(labels, scores)
        )
        assert found["fpr95"][r] == pytest.approx(detection.fpr_at_tpr(scores, labels))


def test_interval_is_that_of_a_plain_loop():
    scores, labels = normal_scores(1)
    rng = np.random.default_rng(2)
    normals, anomalies = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    looped = []
    for _ in range(1000):
        drawn = np.append(rng.choice(normals, len(normals)), rng.choice(anomalies, len(anomalies)))
        looped.append(sklearn.metrics.roc_auc_score(labels[drawn], scores[drawn]))
    found = bootstrap.rank(scores, labels, 3000, seed=0).intervals()["auroc"]
    np.testing.assert_allclose(
        [found["low"], found["high"]], np.quantile(looped, [0.025, 0.975]), atol=0.01
    )


def test_interval_covers_the_truth_nineteen_times_in_twenty():
    # Two unit normals a distance d apart: AUROC is Phi(d / sqrt(2)), 0.7602 for d = 1.
    covered = 0
    for seed in range(300):
        found = bootstrap.rank(*normal_scores(seed), num_resamples=300, seed=seed).intervals()[
            "auroc"
        ]
        covered += found["low"] <= 0.7602 <= found["high"]
    assert 0.91 <= covered / 300 <= 0.98


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=12).map(
        lambda pairs: np.array([*pairs, (0, 0), (1, 1)])
    )
)
def test_intervals_hold_their_value_within_the_unit_interval(pairs):
    found = bootstrap.rank(pairs[:, 0].astype(float), pairs[:, 1], num_resamples=20).intervals()
    for entry in found.values():
        assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1


def test_intervals_depend_on_the_seed_alone_and_not_on_chunks(monkeypatch):
    scores, labels = normal_scores(3)
    whole = bootstrap.rank(scores, labels, 50, seed=7).intervals()
    assert whole == bootstrap.rank(scores, labels, 50, seed=7).intervals()
    assert whole != bootstrap.rank(scores, labels, 50, seed=8).intervals()
    monkeypatch.setattr(bootstrap, "_CHUNK", 300)
    rows = [len(c["auroc"]) for c in bootstrap._resample(scores, labels, 50, seed=7)]
    assert max(rows) == 3
    assert sum(rows) == 50


def test_perfect_separation_gives_a_point():
    labels = np.repeat([0, 1], 20)
    found = bootstrap.rank(labels.astype(float), labels, 100).intervals()
    assert found["auroc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["fpr95"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_difference_of_a_score_from_itself_is_zero():
    scores, labels = normal_scores(4)
    same = bootstrap.rank(scores, labels, 100).auroc_minus(
        bootstrap.rank(np.exp(scores), labels, 100)
    )
    assert same == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_difference_is_sharper_than_two_intervals():
    scores, labels = normal_scores(5)
    blurred = scores + np.random.default_rng(6).normal(scale=0.3, size=len(scores))
    a, b = (bootstrap.rank(s, labels).intervals()["auroc"] for s in (scores, blurred))
    difference = bootstrap.rank(scores, labels).auroc_minus(bootstrap.rank(blurred, labels))
    assert difference["value"] == a["value"] - b["value"]
    width = difference["high"] - difference["low"]
    assert width < 0.7 * min(a["high"] - a["low"], b["high"] - b["low"])


def test_nan_and_a_single_class_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        bootstrap.rank(np.array([np.nan, 1.0]), np.array([0, 1])).intervals()
    with pytest.raises(ValueError, match="needs both"):
        bootstrap.rank(np.array([0.0, 1.0]), np.array([1, 1])).intervals()
