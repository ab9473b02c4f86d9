import numpy as np
import pytest
from scipy import stats

from vae_jax.metrics.seeds import over_seeds


def test_interval_is_that_of_the_t_test():
    values = np.array([0.91, 0.93, 0.90, 0.95])
    found = over_seeds(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found["low"] == pytest.approx(interval.low)
    assert found["high"] == pytest.approx(interval.high)
    assert found["spread"] == pytest.approx(np.std(values, ddof=1))
    assert found["num_seeds"] == 4


def test_one_run_has_no_spread():
    assert over_seeds(np.array([0.9])) == {"mean": 0.9, "num_seeds": 1}


@pytest.mark.parametrize("values", [[], [0.9, np.nan]])
def test_what_is_no_number_is_refused(values):
    with pytest.raises(ValueError, match="finite"):
        over_seeds(np.array(values, np.float64))
