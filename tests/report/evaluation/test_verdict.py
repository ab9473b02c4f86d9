import numpy as np
import pytest

from vae_jax.report.evaluation.verdict import count_decisions, summarise_verdict
from vae_jax.scoring.score_table import ScoreTable

COUNTS = {"found": 6, "missed": 4, "false_alarms": 1, "passed": 19}


def make_results(value, low, high, baseline=0.6):
    auroc = {"value": value, "low": low, "high": high}
    return {
        "decision": {"score": "mse", "promised": 0.05},
        "detection": {"mse": {"auroc": auroc}},
        "baselines": {"pca": {"auroc": {"value": baseline, "low": 0.5, "high": 0.7}}},
    }


def test_counts_are_those_of_the_confusion_matrix():
    labels = np.array([1, 1, 0, 0, 0])
    scores = ScoreTable(["a"] * 5, labels, {"anomalous": np.array([1.0, 0, 1, 0, 0])})
    expected = {"found": 1, "missed": 1, "false_alarms": 1, "passed": 2}
    assert count_decisions(scores) == expected


@pytest.mark.parametrize(
    ("interval", "baseline", "words"),
    [
        ((0.9, 0.85, 0.95), 0.6, "better than the best baseline"),
        ((0.9, 0.85, 0.95), 0.87, "no better than the best baseline"),
        ((0.7, 0.65, 0.75), 0.1, "worse than the best baseline, pca (0.900)"),
        ((0.51, 0.45, 0.57), 0.6, "Not better than chance, do not use it"),
        ((0.3, 0.25, 0.35), 0.6, "Worse than chance, do not use it"),
    ],
)
def test_the_verdict_says_what_the_score_is_worth(interval, baseline, words):
    text = summarise_verdict(make_results(*interval, baseline), COUNTS)
    assert words in text
    assert "finds 6 of 10 anomalies" in text
    assert "1 of 20 normal images (5.0 %; 5.0 % were promised)" in text


def test_a_run_without_decisions_has_no_verdict():
    assert summarise_verdict({}, {}) == ""
