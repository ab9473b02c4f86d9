import ml_collections
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vae_jax.errors import UserError
from vae_jax.scoring import calibration
from vae_jax.scoring.calibration import THRESHOLD_RULES

# Coarse, so that there are ties between and within the two.
some_scores = st.lists(st.integers(-9, 9), min_size=1, max_size=60).map(lambda s: np.array(s) / 2)
rates = st.sampled_from([0.01, 0.05, 0.07, 0.1, 0.29, 0.5, 0.9]) | st.floats(0.001, 0.999)


@given(some_scores, some_scores)
def test_p_values_are_those_of_the_definition(normals, scores):
    expected = [(1 + np.sum(normals >= s)) / (len(normals) + 1) for s in scores]
    np.testing.assert_array_equal(calibration.p_values(normals, scores), expected)


@given(some_scores, some_scores, rates)
def test_threshold_and_p_value_decide_alike(normals, scores, rate):
    threshold = calibration.quantile(normals, rate)
    if threshold.warning is None:
        p = calibration.p_values(normals, scores)
        np.testing.assert_array_equal(threshold.flags(scores), p <= rate)
    else:
        assert 1 / (len(normals) + 1) > rate
        assert threshold.upper == normals.max()


def test_false_alarms_keep_to_the_promised_rate():
    rng = np.random.default_rng(0)
    flagged = []
    for _ in range(2000):
        scores = rng.gamma(0.3, size=59 + 40)
        flagged.append(calibration.quantile(scores[:59], 0.05).flags(scores[59:]).mean())
    # floor(0.05 * 60) / 60 is 0.05 itself, so that the promise is kept with equality.
    assert np.mean(flagged) == pytest.approx(0.05, abs=3 * np.std(flagged) / np.sqrt(2000))


def test_p_values_of_normals_are_uniform():
    rng = np.random.default_rng(1)
    p = [calibration.p_values(s[:19], s[19:])[0] for s in rng.normal(size=(4000, 20))]
    counts = np.bincount(np.rint(np.array(p) * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > 0.01


def test_too_few_normals_are_said_to_be_too_few():
    threshold = calibration.quantile(np.arange(10.0), 0.05)
    assert threshold.warning == (
        "10 calibration normals cannot promise a false-alarm rate of 0.05: the smallest rate possible "
        "is 1/11 = 0.0909, which is in use; 0.05 needs 19 of them"
    )
    assert calibration.quantile(np.arange(18.0), 0.05).warning is not None
    assert calibration.quantile(np.arange(19.0), 0.05).warning is None


def test_rules_take_the_scoring_group_of_the_configuration():
    scoring = ml_collections.ConfigDict({"false_alarm_rate": 0.1, "mean_std_k": 2.0})
    normals = np.arange(19.0)
    quantile = THRESHOLD_RULES["quantile"](normals, scoring)
    assert quantile == calibration.Threshold(
        17.0, None, "quantile of 19 calibration normals at false-alarm rate 0.1", None
    )
    mean_std = THRESHOLD_RULES["mean_std"](normals, scoring)
    assert mean_std.rule == "mean +- 2 standard deviations of 19 calibration normals"


def test_mean_std_flags_on_both_sides():
    threshold = calibration.mean_std(np.array([1.0, 3.0]), 2.0)
    assert (threshold.lower, threshold.upper) == (0, 4)
    np.testing.assert_array_equal(
        threshold.flags(np.array([-1.0, 0.0, 2.0, 4.0, 5.0])), [True, False, False, False, True]
    )


def test_equal_scores_are_all_normal():
    for threshold in (
        calibration.quantile(np.ones(50), 0.05),
        calibration.mean_std(np.ones(50), 2.0),
    ):
        assert not threshold.flags(np.ones(3)).any()
    np.testing.assert_array_equal(calibration.p_values(np.ones(50), np.ones(3)), 1)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), rates)
def test_benjamini_hochberg_is_that_of_scipy(tens, rate):
    p = np.array(tens) / 40
    # Away from equality, where the two sides of the comparison are rounded differently.
    adjusted = stats.false_discovery_control(p)
    clear = np.abs(adjusted - rate) > 1e-9
    flagged = calibration.benjamini_hochberg(p, rate)
    np.testing.assert_array_equal(flagged[clear], (adjusted <= rate)[clear])


def test_benjamini_hochberg_keeps_to_the_false_discovery_rate():
    rng = np.random.default_rng(2)
    wrong = []
    for _ in range(400):
        normals, scores = rng.normal(size=500), rng.normal(size=100) + np.repeat([0, 3], [80, 20])
        flagged = calibration.benjamini_hochberg(calibration.p_values(normals, scores), 0.2)
        wrong.append(flagged[:80].sum() / max(flagged.sum(), 1))
    assert 0.1 < np.mean(wrong) < 0.2


@pytest.mark.parametrize(("flagged", "normals"), [(0, 7), (7, 7), (3, 60), (1, 1), (480, 10000)])
def test_false_alarm_interval_is_that_of_scipy(flagged, normals):
    found = calibration.false_alarm_interval(flagged, normals)
    expected = stats.binomtest(flagged, normals).proportion_ci(0.95, "exact")
    assert found["value"] == flagged / normals
    assert found["low"] == pytest.approx(expected.low)
    assert found["high"] == pytest.approx(expected.high)


def test_what_cannot_be_judged_is_refused_in_one_line():
    with pytest.raises(UserError, match="no calibration normal"):
        calibration.quantile(np.zeros(0), 0.05)
    with pytest.raises(UserError, match="2 of 3 calibration scores are not finite"):
        calibration.mean_std(np.array([0.0, np.nan, np.inf]), 2.0)
    with pytest.raises(UserError, match="1 of 2 scores are NaN"):
        calibration.quantile(np.arange(30.0), 0.05).flags(np.array([np.nan, 1.0]))
    with pytest.raises(UserError, match="1 of 2 scores are NaN"):
        calibration.p_values(np.arange(30.0), np.array([np.nan, 1.0]))
    with pytest.raises(ValueError, match="3 of 2"):
        calibration.false_alarm_interval(3, 2)
