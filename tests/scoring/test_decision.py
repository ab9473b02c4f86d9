import numpy as np
import pytest
from scipy import stats

from vae_jax.scoring import calibration
from vae_jax.scoring.decision import decide
from vae_jax.scoring.role_scores import RoleScores

NAMES = ("mse", "fusion")


@pytest.fixture
def role_scores():
    rng = np.random.default_rng(0)
    normals = {name: rng.normal(size=59) for name in NAMES}
    return RoleScores(normals, {name: rng.normal(1, 2, 40) for name in NAMES})


def test_fusion_decides_unless_another_score_is_configured(config, role_scores):
    for wanted, score in (("", "fusion"), ("mse", "mse"), ("kl", "fusion")):
        config.scoring.decision = wanted
        decision = decide(NAMES, role_scores, config.scoring)
        assert decision.score == score
        np.testing.assert_array_equal(decision.scores, role_scores.test[score])
        expected = calibration.p_values(role_scores.calibration[score], role_scores.test[score])
        np.testing.assert_array_equal(decision.p_values, expected)
        assert set(decision.thresholds) == set(NAMES)


def test_an_image_is_anomalous_if_its_p_value_is_at_most_the_promised_rate(config, role_scores):
    decision = decide(NAMES, role_scores, config.scoring)
    np.testing.assert_array_equal(decision.anomalous, decision.p_values <= 0.05)
    assert decision.promised_rate == 0.05
    assert decision.rule == "each image by its threshold, quantile"


def test_few_calibration_normals_cannot_promise_the_configured_rate(config, role_scores):
    few = {name: values[:9] for name, values in role_scores.calibration.items()}
    decision = decide(NAMES, RoleScores(few, role_scores.test), config.scoring)
    assert decision.promised_rate == 1 / 10
    assert all(threshold.warning for threshold in decision.thresholds.values())


def test_false_discovery_decides_about_all_images_together(config, role_scores):
    config.scoring.false_discovery = True
    decision = decide(NAMES, role_scores, config.scoring)
    expected = stats.false_discovery_control(decision.p_values) <= 0.05
    np.testing.assert_array_equal(decision.anomalous, expected)
    assert decision.promised_rate is None
    assert "Benjamini-Hochberg at a false discovery rate of 0.05" in decision.rule


def test_the_two_sided_rule_promises_no_rate(config, role_scores):
    config.scoring.threshold_rule = "mean_std"
    decision = decide(NAMES, role_scores, config.scoring)
    threshold = decision.thresholds["fusion"]
    outside = (decision.scores > threshold.upper) | (decision.scores < threshold.lower)
    np.testing.assert_array_equal(decision.anomalous, outside)
    assert decision.promised_rate is None


def test_a_baseline_decides_like_any_other_score(config, role_scores):
    rng = np.random.default_rng(1)
    baselines = RoleScores(
        {"padim_max": rng.normal(size=59)},
        {"padim_max": rng.normal(1, 2, 40), "pca": rng.normal(size=40)},
    )
    config.scoring.decision = "padim_max"
    joined = role_scores.join(baselines)
    decision = decide((*NAMES, "padim_max"), joined, config.scoring)
    assert decision.score == "padim_max"
    assert set(decision.thresholds) == {*NAMES, "padim_max"}
    expected = calibration.p_values(baselines.calibration["padim_max"], baselines.test["padim_max"])
    np.testing.assert_array_equal(decision.p_values, expected)
    np.testing.assert_array_equal(decision.anomalous, expected <= 0.05)
