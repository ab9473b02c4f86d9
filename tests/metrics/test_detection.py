import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from vae_jax.metrics import detection


@st.composite
def scored_images(draw):
    """Scores of two to forty images, coarse enough for ties, with both labels present."""
    labels = [*draw(st.lists(st.integers(0, 1), max_size=38)), 0, 1]
    scores = draw(
        st.lists(st.integers(-5, 5), min_size=len(labels), max_size=len(labels)).map(np.array)
    )
    return scores / 4, np.array(labels)


@given(scored_images())
def test_ranking_metrics_are_those_of_sklearn(case):
    scores, labels = case
    fpr, tpr, _ = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert detection.auroc(scores, labels) == pytest.approx(
        sklearn.metrics.roc_auc_score(labels, scores), abs=1e-12
    )
    assert detection.auprc(scores, labels) == pytest.approx(
        sklearn.metrics.average_precision_score(labels, scores), abs=1e-12
    )
    assert detection.fpr_at_tpr(scores, labels, 0.95) == fpr[np.argmax(tpr >= 0.95)]


@given(scored_images())
def test_curve_is_that_of_sklearn(case):
    scores, labels = case
    curve = detection.compute_curve(scores, labels)
    fpr, tpr, _ = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
    precision, recall, _ = sklearn.metrics.precision_recall_curve(labels, scores)
    np.testing.assert_allclose(curve.fpr, fpr)
    np.testing.assert_allclose(curve.recall, tpr)
    np.testing.assert_allclose(curve.recall, recall[::-1])
    np.testing.assert_allclose(curve.precision, precision[::-1])
    for i, threshold in enumerate(curve.threshold):
        flagged = scores > threshold
        assert curve.f1[i] == pytest.approx(sklearn.metrics.f1_score(labels, flagged))


@given(scored_images())
def test_auroc_depends_on_the_order_of_scores_alone(case):
    scores, labels = case
    assert detection.auroc(np.exp(3 * scores), labels) == detection.auroc(scores, labels)


@given(scored_images())
def test_auroc_of_negated_scores_is_the_complement(case):
    scores, labels = case
    negated = detection.auroc(-scores, labels)
    assert negated == pytest.approx(1 - detection.auroc(scores, labels), abs=1e-12)
    assert detection.auroc(scores, 1 - labels) == pytest.approx(negated, abs=1e-12)


def test_auroc_of_a_constant_is_a_half():
    assert detection.auroc(np.zeros(7), np.array([0, 0, 0, 1, 1, 1, 1])) == 0.5


def test_perfect_separation_is_exactly_one():
    scores, labels = np.arange(3000.0), np.repeat([0, 1], [1000, 2000])
    assert detection.auroc(scores, labels) == 1
    assert detection.auprc(scores, labels) == 1
    assert detection.fpr_at_tpr(scores, labels) == 0


def test_infinite_scores_are_ranked():
    assert detection.auroc(np.array([-np.inf, 0.0, 1.0, np.inf]), np.array([0, 0, 1, 1])) == 1


@pytest.mark.parametrize("num_anomalies", [20, 40, 60, 100, 700])
def test_fpr95_needs_no_more_than_95_percent_of_the_anomalies(num_anomalies):
    scores = np.append(np.arange(num_anomalies, 0.0, -1), num_anomalies / 20 + 0.5)
    labels = np.append(np.ones(num_anomalies, int), 0)
    assert detection.fpr_at_tpr(scores, labels) == 0


def test_nan_scores_are_refused_with_their_number():
    with pytest.raises(ValueError, match="2 of 3 scores are NaN"):
        detection.auroc(np.array([np.nan, 1.0, np.nan]), np.array([0, 1, 1]))


def test_labels_of_a_single_class_are_refused():
    with pytest.raises(ValueError, match=r"labels are \[0\]"):
        detection.auroc(np.array([1.0, 2.0]), np.array([0, 0]))


@given(scored_images())
def test_oracle_is_the_best_of_all_thresholds(case):
    scores, labels = case
    oracle = detection.measure_oracle(scores, labels)

    def measure(threshold):
        return detection.measure_decision(scores > threshold, labels, [""] * len(labels))

    candidates = [measure(t) for t in np.append(scores, scores.min() - 1)]
    at_youden = measure(oracle["threshold"])
    j = at_youden["recall"] - at_youden["fpr"]
    assert j == pytest.approx(max(c["recall"] - c["fpr"] for c in candidates), abs=1e-12)
    assert oracle["accuracy"] == pytest.approx(at_youden["accuracy"])
    assert oracle["f1"] == pytest.approx(at_youden["f1"])
    assert oracle["best_f1"]["f1"] == pytest.approx(max(c["f1"] for c in candidates))
    assert measure(oracle["best_f1"]["threshold"])["f1"] == pytest.approx(oracle["best_f1"]["f1"])


@given(scored_images(), st.integers(-6, 5))
def test_decision_metrics_are_those_of_sklearn(case, cut):
    scores, labels = case
    flagged = scores > cut / 4
    metrics = detection.measure_decision(flagged, labels, ["a"] * len(labels))
    assert metrics["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, flagged))
    assert metrics["f1"] == pytest.approx(sklearn.metrics.f1_score(labels, flagged))
    assert metrics["recall"] == pytest.approx(sklearn.metrics.recall_score(labels, flagged))
    assert metrics["precision"] == pytest.approx(
        sklearn.metrics.precision_score(labels, flagged, zero_division=0)
    )
    assert metrics["fpr"] == pytest.approx(
        1 - sklearn.metrics.recall_score(labels, flagged, pos_label=0)
    )


def test_per_class_is_recall_of_anomalies_and_specificity_of_normals():
    metrics = detection.measure_decision(
        np.array([True, False, False, False, True]),
        np.array([0, 0, 1, 1, 1]),
        ["colon", "colon", "polyp", "polyp", "ulcer"],
    )
    assert metrics["per_class"] == {"colon": 0.5, "polyp": 0.0, "ulcer": 1.0}


def test_metrics_that_need_both_classes_are_absent_for_a_single_one():
    flagged = np.array([True, False, False, False])
    names = ["a"] * 4
    assert detection.measure_decision(flagged, np.zeros(4, int), names) == {
        "accuracy": 0.75,
        "fpr": 0.25,
        "per_class": {"a": 0.75},
    }
    assert detection.measure_decision(flagged, np.ones(4, int), names) == {
        "accuracy": 0.25,
        "precision": 1.0,
        "recall": 0.25,
        "f1": 0.4,
        "per_class": {"a": 0.25},
    }
    assert detection.measure_decision(flagged[:0], np.ones(0, int), []) == {"per_class": {}}
