import numpy as np
import pytest
from scipy import stats

from vae_jax.metrics.seeds import summarise_runs


def test_interval_is_that_of_the_t_test():
    values = np.array([0.91, 0.93, 0.90, 0.95])
    summary = summarise_runs(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert summary["low"] == pytest.approx(interval.low)
    assert summary["high"] == pytest.approx(interval.high)
    assert summary["spread"] == pytest.approx(np.std(values, ddof=1))
    assert summary["num_seeds"] == 4


def test_one_run_has_no_spread():
    assert summarise_runs(np.array([0.9])) == {"mean": 0.9, "num_seeds": 1}


@pytest.mark.parametrize("values", [[], [0.9, np.nan]])
def test_values_that_are_missing_or_not_finite_are_refused(values):
    with pytest.raises(ValueError, match="finite"):
        summarise_runs(np.array(values, np.float64))
