import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vae_jax.metrics.detection import fpr_at_tpr
from vae_jax.metrics.false_positive_rate import measure_fpr95


def by_definition(normals, anomalies):
    """The ends by a loop over all thresholds, with the distributions of scipy."""
    reach, num_anomalies = stats.norm.ppf(0.975), len(anomalies)
    below = stats.binom(num_anomalies, 0.05)
    rising = [-math.inf, *sorted(anomalies), math.inf]
    lowest, highest = [], []
    for k in range(num_anomalies + 1):  # k anomalies are below the threshold
        fewer = below.cdf(k) - below.pmf(k) / 2
        for is_upper, probability in ((True, fewer), (False, 1 - fewer)):
            distance = max(-stats.norm.ppf(probability), 0)
            if distance < reach:
                flagged = int(np.sum(normals >= rising[k if is_upper else k + 1]))
                share = stats.beta(flagged + 0.5, len(normals) - flagged + 0.5)
                rest = stats.norm.cdf(math.sqrt(reach**2 - distance**2))
                if is_upper:
                    highest.append(share.ppf(rest) if flagged < len(normals) else 1.0)
                else:
                    lowest.append(share.ppf(1 - rest) if flagged else 0.0)
    return min(lowest), max(highest)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1)), max_size=12))
def test_the_interval_is_that_of_a_loop_over_all_thresholds(pairs):
    table = np.array([*pairs, (0, 0), (3, 0), (2, 1), (5, 1)])
    scores, labels = table[:, 0].astype(float), table[:, 1]
    interval = measure_fpr95(scores, labels)
    low, high = by_definition(scores[labels == 0], scores[labels == 1])
    assert interval["value"] == fpr_at_tpr(scores, labels)
    assert interval["low"] == pytest.approx(min(low, interval["value"]), abs=1e-9)
    assert interval["high"] == pytest.approx(max(high, interval["value"]), abs=1e-9)
    assert 0 <= interval["low"] <= interval["value"] <= interval["high"] <= 1


def test_many_anomalies_leave_only_the_uncertainty_of_the_share_of_normals():
    anomalies, normals = np.linspace(0, 1, 100_001), np.linspace(-0.39, 0.61, 41)
    scores, labels = np.append(normals, anomalies), np.repeat([0, 1], [41, 100_001])
    flagged = int(np.sum(normals >= 0.05))
    expected = stats.beta.interval(0.95, flagged + 0.5, 41 - flagged + 0.5)
    interval = measure_fpr95(scores, labels)
    assert (interval["low"], interval["high"]) == pytest.approx(expected, abs=0.002)


def test_many_normals_leave_only_the_uncertainty_of_the_threshold():
    anomalies, normals = np.arange(200) / 200, np.linspace(0, 1, 100_001)
    scores, labels = np.append(normals, anomalies), np.repeat([0, 1], [100_001, 200])
    ranks = stats.binom.ppf([0.025, 0.975], 200, 0.05)  # anomalies below the threshold
    interval = measure_fpr95(scores, labels)
    assert interval["high"] == pytest.approx(1 - ranks[0] / 200, abs=0.011)
    assert interval["low"] == pytest.approx(1 - ranks[1] / 200, abs=0.011)


def test_fewer_than_59_anomalies_leave_the_upper_end_open():
    for num_anomalies, is_open in ((20, True), (58, True), (59, False)):
        labels = np.repeat([0, 1], [100, num_anomalies])
        interval = measure_fpr95(labels + np.arange(len(labels)) / 1000, labels)
        assert interval["value"] == interval["low"] == 0
        assert (interval["high"] == 1) is is_open


def test_copies_of_an_image_in_a_group_count_as_one_image():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [60, 100])
    scores = rng.normal(size=160) + labels
    once = measure_fpr95(scores, labels)
    copies = [np.repeat(values, 4) for values in (scores, labels, np.arange(160))]
    grouped = measure_fpr95(*copies)
    for end in ("value", "low", "high"):
        assert grouped[end] == pytest.approx(once[end], abs=0.02)
    alone = measure_fpr95(*copies[:2])
    assert alone["high"] - alone["low"] < 0.8 * (once["high"] - once["low"])


def test_nan_and_labels_of_a_single_class_are_refused():
    with pytest.raises(ValueError, match="1 of 2 scores are NaN"):
        measure_fpr95(np.array([np.nan, 1.0]), np.array([0, 1]))
    with pytest.raises(ValueError, match="needs both"):
        measure_fpr95(np.array([0.0, 1.0]), np.array([1, 1]))
