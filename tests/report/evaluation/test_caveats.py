import numpy as np
import pytest
from scipy import stats

from vae_jax.report.evaluation.caveats import list_caveats
from vae_jax.scoring.calibration import false_alarm_interval


def _baseline(value: float) -> dict:
    return {"auroc": {"value": value, "low": value, "high": value}}


def test_a_run_without_faults_has_no_caveat(results):
    assert list_caveats(results, "mse", 0.05) == []


@pytest.mark.parametrize(
    # A baseline that is low for anomalies separates them as well as one that is high.
    ("auroc", "baseline"),
    [(0.88, "width (0.880)"), (0.12, "width (0.120, which ranks anomalies below normals)")],
)
def test_a_baseline_as_good_as_the_model_is_named(results, auroc, baseline):
    results["baselines"]["width"] = _baseline(auroc)
    [caveat] = list_caveats(results, "mse")
    assert caveat.startswith(
        f"{baseline} separates anomalies from normal images as well as the model does"
    )
    assert "0.910 [0.870, 0.950]" in caveat


def test_baselines_are_compared_with_the_score_that_decides(results):
    results["detection"]["kl"]["auroc"] = {"value": 0.6, "low": 0.55, "high": 0.65}
    assert list_caveats(results, "mse") == []
    assert "pca (0.820)" in list_caveats(results, "kl")[0]


def test_a_score_that_ranks_anomalies_below_normal_images_is_named(results):
    results["detection"]["kl"]["auroc"] = {"value": 0.4, "low": 0.35, "high": 0.45}
    [caveat] = list_caveats(results, "mse")
    assert caveat.startswith("kl ranks anomalies below normal images")


def test_interval_of_the_false_alarm_rate_agrees_with_simulated_calibrations(results):
    num, alpha = 70, 0.05
    results["dataset"]["counts"]["calibration"] = num
    [caveat] = list_caveats(results, "mse", alpha)
    # Normal scores uniform on [0, 1], so the rate at a threshold t is 1 - t.
    scores = np.sort(np.random.default_rng(0).uniform(size=(40_000, num)), axis=1)
    thresholds = scores[:, int(np.ceil((1 - alpha) * (num + 1))) - 1]
    low, high = np.percentile(100 * (1 - thresholds), [2.5, 97.5])
    assert caveat.startswith("Only 70 calibration images")
    interval = caveat.split("between ")[1].split(" %")[0], caveat.split("and ")[1].split(" %")[0]
    np.testing.assert_allclose([float(end) for end in interval], [low, high], atol=0.15)


def test_a_baseline_that_decides_is_not_called_the_model(results):
    results["detection"]["padim_max"] = results["detection"]["mse"]
    results["baselines"] |= {"padim_max": _baseline(0.91), "patchcore_max": _baseline(0.90)}
    [caveat] = list_caveats(results, "padim_max")
    assert caveat.startswith("patchcore_max (0.900) separates")
    assert "padim_max does, the baseline that decides: its AUROC is 0.910" in caveat
    assert "model" not in caveat


def test_a_better_baseline_that_may_decide_is_named_with_its_field(results):
    results["baselines"] |= {"mean": _baseline(0.99), "padim_max": _baseline(0.95)}
    [caveat] = list_caveats(results, "mse")
    assert "with scoring.decision=padim_max" in caveat
    assert "a choice made on test data" in caveat
    results["baselines"]["padim_max"] = _baseline(0.9)  # as good, but not better
    [caveat] = list_caveats(results, "mse")
    assert "padim_max (0.900)" in caveat
    assert "scoring.decision" not in caveat


@pytest.mark.parametrize(
    ("num_flagged", "reason"),
    [
        (6, None),
        (12, "The choice of the 150 calibration images may explain the difference"),
        (24, "near-duplicates between training and calibration images"),
    ],
)
def test_a_broken_promise_is_said_with_its_likely_reason(results, num_flagged, reason):
    results["decision"]["false_alarms"] = false_alarm_interval(num_flagged, 120)
    caveats = list_caveats(results, "mse", 0.05)
    assert len(caveats) == (reason is not None)
    if reason:
        low, high = stats.binomtest(num_flagged, 120).proportion_ci()
        assert f"(95 % interval {100 * low:.1f} % to {100 * high:.1f} %)" in caveats[0]
        assert "its threshold promises 5.0 %" in caveats[0]
        assert reason in caveats[0]
    assert list_caveats(results, "mse") == []  # another rule promises no rate


def test_too_few_false_alarms_are_said_too(results):
    results["dataset"]["counts"] |= {"calibration": 2000, "test_normal": 2000}
    results["decision"]["false_alarms"] = false_alarm_interval(20, 2000)
    [caveat] = list_caveats(results, "mse", 0.05)
    assert caveat.startswith("mse flags 1.0 % of the normal test images")
    assert "anomalies are missed" in caveat


def test_chance_of_the_calibration_agrees_with_simulation(results):
    """The limit between the two explanations is that of 1 % of simulated runs."""
    n, n_test, alpha = 150, 120, 0.05
    rng = np.random.default_rng(0)
    scores = np.sort(rng.uniform(size=(40_000, n)), axis=1)
    thresholds = scores[:, int(np.ceil((1 - alpha) * (n + 1))) - 1]
    flagged = rng.binomial(n_test, 1 - thresholds)
    limit = int(np.quantile(flagged, 0.99))
    for num_flagged, is_chance in ((limit - 1, True), (limit + 2, False)):
        results["decision"]["false_alarms"] = false_alarm_interval(num_flagged, n_test)
        [caveat] = list_caveats(results, "mse", alpha)
        assert ("may explain" in caveat) == is_chance


def test_what_is_out_of_view_is_a_caveat(results):
    view = {"mean_share": 0.62, "partial_images": 750}
    results["dataset"]["view"] = view
    [caveat] = list_caveats(results, "mse")
    assert caveat.startswith(
        "The model does not see 750 test images whole: on average 38.0 % of the area"
    )
    view |= {"masked_anomalies": 392, "anomalies_out_of_view": 123}
    assert list_caveats(results, "mse")[0].startswith("123 of 392 anomalies have no marked pixel")
    view["anomalies_out_of_view"] = 0
    assert list_caveats(results, "mse") == [caveat]


def test_duplicates_that_were_left_out_are_named_and_counted(results):
    files = {f"train/{i}.png": f"test/{i}.png" for i in range(1000)}
    results["dataset"]["split"] = {"duplicates_left_out": 1200, "duplicate_files": files}
    [caveat] = list_caveats(results, "mse")
    assert (
        "training: train/0.png equals test/0.png; train/1.png equals test/1.png; train/2.png equals "
        "test/2.png; and 1,197 more."
    ) in caveat


def test_a_model_that_guesses_is_not_compared_with_baselines_that_guess(results):
    results["detection"]["mse"]["auroc"] = {"value": 0.48, "low": 0.42, "high": 0.54}
    results["baselines"]["mean"]["auroc"] = {"value": 0.5, "low": 0.44, "high": 0.56}
    results["baselines"]["pca"]["auroc"] = {"value": 0.82, "low": 0.78, "high": 0.86}
    text = list_caveats(results, "mse")[0]
    assert text.startswith("The model is not better than chance: do not use it.")
    assert text.endswith("Simple baselines are not: pca (0.820).")
