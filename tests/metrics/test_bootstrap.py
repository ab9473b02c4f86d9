import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vae_jax.metrics import bootstrap, clusters, detection


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
        assert metrics["fpr95"][r] == pytest.approx(detection.fpr_at_tpr(scores, labels))


def test_resamples_are_those_of_a_loop():
    scores, labels = normal_scores(1)
    rng = np.random.default_rng(2)
    normals, anomalies = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    looped = []
    for _ in range(600):
        drawn = np.append(rng.choice(normals, len(normals)), rng.choice(anomalies, len(anomalies)))
        statistic = stats.mannwhitneyu(scores[drawn[60:]], scores[drawn[:60]]).statistic
        looped.append(statistic / (60 * 40))
    resampled = bootstrap.rank(scores, labels, 3000, seed=0).resampled["auroc"]
    ends = np.quantile(resampled, [0.025, 0.975])
    np.testing.assert_allclose(ends, np.quantile(looped, [0.025, 0.975]), atol=0.01)


def test_a_resample_draws_whole_groups():
    # Two groups of normals, two of anomalies and two with both labels, of different sizes.
    groups = np.array(list("abbcdddeefffgg"))
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 1])
    strata = bootstrap._make_strata(labels, clusters.number_groups(groups, 14))
    assert [len(sizes) for _, sizes in strata] == [2, 2, 3]
    for members, sizes in strata:
        chosen = np.random.default_rng(0).integers(len(sizes), size=(50, len(sizes)))
        images, resamples = bootstrap._list_images(chosen, members, sizes)
        names = np.unique(groups[members])
        for resample in range(50):
            drawn = np.bincount(images[resamples == resample], minlength=14)
            expected = np.zeros(14, int)
            for name in names[chosen[resample]]:
                expected += groups == name
            np.testing.assert_array_equal(drawn, expected)


def test_groups_widen_what_is_resampled_and_one_image_each_changes_nothing():
    scores, labels = np.repeat(normal_scores(1), 4, axis=1)
    labels = labels.astype(int)
    groups = np.repeat([f"patient{i}" for i in range(100)], 4)
    alone = bootstrap.rank(scores, labels, 400)
    each = bootstrap.rank(scores, labels, 400, groups=[str(i) for i in range(400)])
    np.testing.assert_array_equal(alone.resampled["auroc"], each.resampled["auroc"])
    assert alone.covered == each.covered
    grouped = bootstrap.rank(scores, labels, 400, groups=groups)
    # Four copies of an image are worth one image, so deviations and intervals double.
    ratio = grouped.resampled["auroc"].std() / alone.resampled["auroc"].std()
    assert ratio == pytest.approx(2, rel=0.15)
    once = bootstrap.rank(*normal_scores(1), 10)
    for name, interval in once.covered.items():
        for end in ("low", "high"):
            assert grouped.covered[name][end] == pytest.approx(interval[end], abs=2e-3)


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
    groups = np.arange(len(scores))
    rows = [len(c["auroc"]) for c in bootstrap._resample(scores, labels, groups, 50, seed=7)]
    assert max(rows) == 3
    assert sum(rows) == 50


def test_the_interval_of_perfect_separation_is_no_point():
    labels = np.repeat([0, 1], 20)
    intervals = bootstrap.rank(labels.astype(float), labels, 100).intervals()
    for name in ("auroc", "auprc"):
        assert intervals[name]["high"] == intervals[name]["value"] == 1.0
        assert 0.8 < intervals[name]["low"] < 0.95
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
