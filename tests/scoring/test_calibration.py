import ml_collections
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vae_jax.errors import UserError
from vae_jax.scoring import calibration
from vae_jax.scoring.calibration import THRESHOLD_RULES

# Coarse values, so that there are ties within and between calibration and test scores.
some_scores = st.lists(st.integers(-9, 9), min_size=1, max_size=60).map(lambda s: np.array(s) / 2)
rates = st.sampled_from([0.01, 0.05, 0.07, 0.1, 0.29, 0.5, 0.9]) | st.floats(0.001, 0.999)


@given(some_scores, some_scores)
def test_p_values_follow_their_definition(normals, scores):
    expected = [(1 + np.sum(normals >= s)) / (len(normals) + 1) for s in scores]
    np.testing.assert_array_equal(calibration.p_values(normals, scores), expected)


@given(some_scores, some_scores, rates)
def test_threshold_and_p_value_lead_to_the_same_decision(normals, scores, rate):
    threshold = calibration.quantile(normals, rate)
    if threshold.warning is None:
        p = calibration.p_values(normals, scores)
        np.testing.assert_array_equal(threshold.flags(scores), p <= rate)
    else:
        assert 1 / (len(normals) + 1) > rate
        assert threshold.upper == normals.max()


def test_the_promised_false_alarm_rate_is_kept():
    rng = np.random.default_rng(0)
    flagged = []
    for _ in range(2000):
        scores = rng.gamma(0.3, size=59 + 40)
        flagged.append(calibration.quantile(scores[:59], 0.05).flags(scores[59:]).mean())
    # floor(0.05 * 60) / 60 is exactly 0.05, so the achieved rate is the promised rate.
    assert np.mean(flagged) == pytest.approx(0.05, abs=3 * np.std(flagged) / np.sqrt(2000))


@pytest.mark.parametrize("levels", [2, 5, 20])
def test_the_promised_false_alarm_rate_is_not_exceeded_by_tied_scores(levels):
    rng = np.random.default_rng(2)
    flagged, small = [], []
    for _ in range(2000):
        scores = rng.binomial(levels, 0.3, size=59 + 40).astype(float)
        flagged.append(calibration.quantile(scores[:59], 0.05).flags(scores[59:]).mean())
        small.append((calibration.p_values(scores[:59], scores[59:]) <= 0.05).mean())
    assert flagged == small
    rate, error = np.mean(flagged), np.std(flagged) / np.sqrt(2000)
    assert rate <= 0.05 + 3 * error
    # A flag needs a score above all ties, so with few levels the rate is below the promised one.
    assert (rate < 0.03) == (levels < 20)


def test_p_values_of_normals_are_uniform():
    rng = np.random.default_rng(1)
    p = [calibration.p_values(s[:19], s[19:])[0] for s in rng.normal(size=(4000, 20))]
    counts = np.bincount(np.rint(np.array(p) * 20).astype(int), minlength=21)[1:]
    assert stats.chisquare(counts).pvalue > 0.01


def test_the_warning_names_the_possible_rate_if_there_are_too_few_normals():
    threshold = calibration.quantile(np.arange(10.0), 0.05)
    assert threshold.warning == (
        "10 calibration normals cannot promise a false-alarm rate of 0.05: the smallest possible rate is "
        "1/11 = 0.0909, and it is used instead; a rate of 0.05 needs 19 of them"
    )
    assert calibration.quantile(np.arange(18.0), 0.05).warning is not None
    assert calibration.quantile(np.arange(19.0), 0.05).warning is None


def test_threshold_rules_read_the_scoring_group_of_the_config():
    scoring = ml_collections.ConfigDict({"false_alarm_rate": 0.1, "mean_std_k": 2.0})
    normals = np.arange(19.0)
    quantile = THRESHOLD_RULES["quantile"](normals, scoring)
    assert quantile == calibration.Threshold(
        17.0, None, "quantile of 19 calibration normals at false-alarm rate 0.1", None
    )
    mean_std = THRESHOLD_RULES["mean_std"](normals, scoring)
    assert mean_std.rule == "mean +- 2 standard deviations of 19 calibration normals"


def test_mean_std_flags_scores_above_and_below_its_limits():
    threshold = calibration.mean_std(np.array([1.0, 3.0]), 2.0)
    assert (threshold.lower, threshold.upper) == (0, 4)
    np.testing.assert_array_equal(
        threshold.flags(np.array([-1.0, 0.0, 2.0, 4.0, 5.0])), [True, False, False, False, True]
    )


def test_images_with_equal_scores_are_all_normal():
    for threshold in (
        calibration.quantile(np.ones(50), 0.05),
        calibration.mean_std(np.ones(50), 2.0),
    ):
        assert not threshold.flags(np.ones(3)).any()
    np.testing.assert_array_equal(calibration.p_values(np.ones(50), np.ones(3)), 1)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), rates)
def test_benjamini_hochberg_agrees_with_scipy(fortieths, rate):
    p = np.array(fortieths) / 40
    # Near equality the two sides of the comparison are rounded differently.
    adjusted = stats.false_discovery_control(p)
    clear = np.abs(adjusted - rate) > 1e-9
    flagged = calibration.benjamini_hochberg(p, rate)
    np.testing.assert_array_equal(flagged[clear], (adjusted <= rate)[clear])


def test_benjamini_hochberg_keeps_the_false_discovery_rate():
    rng = np.random.default_rng(2)
    wrong = []
    for _ in range(400):
        normals, scores = rng.normal(size=500), rng.normal(size=100) + np.repeat([0, 3], [80, 20])
        flagged = calibration.benjamini_hochberg(calibration.p_values(normals, scores), 0.2)
        wrong.append(flagged[:80].sum() / max(flagged.sum(), 1))
    assert 0.1 < np.mean(wrong) < 0.2


@pytest.mark.parametrize(("flagged", "normals"), [(0, 7), (7, 7), (3, 60), (1, 1), (480, 10000)])
def test_false_alarm_interval_agrees_with_scipy(flagged, normals):
    interval = calibration.false_alarm_interval(flagged, normals)
    expected = stats.binomtest(flagged, normals).proportion_ci(0.95, "exact")
    assert interval["value"] == flagged / normals
    assert interval["low"] == pytest.approx(expected.low)
    assert interval["high"] == pytest.approx(expected.high)


def test_scores_without_a_decision_are_refused():
    with pytest.raises(UserError, match="there are no calibration normals"):
        calibration.quantile(np.zeros(0), 0.05)
    with pytest.raises(UserError, match="2 of 3 calibration scores are not finite"):
        calibration.mean_std(np.array([0.0, np.nan, np.inf]), 2.0)
    with pytest.raises(UserError, match="1 of 2 scores are NaN"):
        calibration.quantile(np.arange(30.0), 0.05).flags(np.array([np.nan, 1.0]))
    with pytest.raises(UserError, match="1 of 2 scores are NaN"):
        calibration.p_values(np.arange(30.0), np.array([np.nan, 1.0]))
    with pytest.raises(ValueError, match="3 of 2 normals are flagged"):
        calibration.false_alarm_interval(3, 2)
