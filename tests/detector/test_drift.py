import numpy as np
import pytest
from scipy import stats

from vae_jax.detector.drift import DriftTest
from vae_jax.scoring.calibration import p_values


def measure_drift(calibration, *parts):
    test = DriftTest(len(calibration))
    for part in parts:
        test.add(p_values(calibration, part))
    return test


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize(("num_calibration", "num_new"), [(60, 80), (200, 50), (40, 700)])
def test_the_p_value_is_that_of_the_test_of_two_samples(num_calibration, num_new, shift):
    rng = np.random.default_rng(num_new)
    calibration, new = rng.normal(size=num_calibration), rng.normal(size=num_new) + shift
    expected = stats.ks_2samp(calibration, new, method="asymp").pvalue
    halves = new[: num_new // 2], new[num_new // 2 :]
    assert measure_drift(calibration, *halves).p_value == pytest.approx(expected, rel=1e-6)


def test_exchangeable_normals_are_rarely_reported():
    rng = np.random.default_rng(0)
    p = [measure_drift(rng.normal(size=60), rng.normal(size=200)).p_value for _ in range(1000)]
    assert np.mean(np.array(p) < 0.05) < 0.08
    assert np.mean(np.array(p) < 0.2) > 0.1  # the test is not blind either


def test_a_change_gives_one_sentence_and_no_change_gives_none():
    rng = np.random.default_rng(0)
    calibration = rng.normal(size=100)
    assert measure_drift(calibration, rng.normal(size=200)).describe(9, 0.05) == ""
    sentence = measure_drift(calibration, rng.normal(size=200) + 2).describe(120, 0.05)
    assert "120 of 200 images (60.0%) are anomalous, where at most about 5.0%" in sentence
    assert "\n" not in sentence
    assert DriftTest(10).p_value == 1
