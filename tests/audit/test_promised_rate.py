import numpy as np
import pytest

from vae_jax.audit.promised_rate import find_rate_problems, summarise_calibration
from vae_jax.config import default
from vae_jax.scoring.calibration import quantile


@pytest.fixture
def scoring():
    return default().scoring


def kinds(num, scoring):
    summary = summarise_calibration(num, num, scoring)
    return [finding.kind for finding in find_rate_problems(summary, scoring)]


def test_too_few_images_are_a_warning_as_long_as_no_p_value_is_small_enough(scoring):
    scoring.false_alarm_rate = 0.05
    assert kinds(18, scoring) == ["too_few_calibration_images"]
    assert kinds(19, scoring) == ["few_calibration_images"]
    assert kinds(100, scoring) == []


def test_the_interval_contains_the_rates_that_random_calibrations_achieve(scoring):
    scoring.false_alarm_rate = 0.1
    summary = summarise_calibration(50, 50, scoring)
    rng = np.random.default_rng(0)
    rates = [1 - quantile(rng.uniform(size=50), 0.1).upper for _ in range(4000)]
    low, high = np.quantile(rates, [0.025, 0.975])
    assert summary["achieved_rate"]["low"] == pytest.approx(low, abs=0.01)
    assert summary["achieved_rate"]["high"] == pytest.approx(high, abs=0.01)
    assert summary["needed"] == 9


def test_another_rule_promises_no_rate(scoring):
    scoring.threshold_rule = "mean_std"
    assert kinds(3, scoring) == []
