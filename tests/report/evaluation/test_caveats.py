import numpy as np
import pytest

from vae_jax.report.evaluation.caveats import list_caveats


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


def test_more_false_alarms_than_chance_explains_are_reported(results):
    results["detection"]["mse"]["fpr"] = 0.1
    assert list_caveats(results, "mse", 0.05) == []
    results["detection"]["mse"]["fpr"] = 0.2
    [caveat] = list_caveats(results, "mse", 0.05)
    assert "flags 20.0 % of the normal test images, but its threshold promises 5.0 %" in caveat
    assert list_caveats(results, "mse") == []  # another rule promises no rate


@pytest.mark.parametrize(
    ("active", "total", "is_reported"),
    [(0, 4, True), (1, 4, False), (0, 128, True), (12, 128, True), (13, 128, False), (1, 1, False)],
)
def test_unused_latent_dimensions_are_reported(results, active, total, is_reported):
    results["latent"] = {"active_units": active, "kl_per_dimension": [0.5] * total}
    caveats = list_caveats(results, "mse")
    assert len(caveats) == is_reported
    if is_reported:
        assert f"{active} of {total} latent dimensions" in caveats[0]
        # The KL is 2 nats for 4 dimensions and 64 nats for 128.
        assert ("collapsed" in caveats[0]) == (total == 4)
