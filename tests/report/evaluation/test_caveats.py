import numpy as np
import pytest

from vae_jax.report.evaluation.caveats import caveats


def _baseline(value: float) -> dict:
    return {"auroc": {"value": value, "low": value, "high": value}}


def test_a_run_without_fault_gives_no_caveat(results):
    assert caveats(results, "mse", 0.05) == []


@pytest.mark.parametrize(
    # Low scores of anomalies separate as well.
    ("auroc", "told"),
    [(0.88, "width (0.880)"), (0.12, "width (0.120, turned round)")],
)
def test_a_baseline_as_good_as_the_model_is_told(results, auroc, told):
    results["baselines"]["width"] = _baseline(auroc)
    [caveat] = caveats(results, "mse")
    assert caveat.startswith(f"{told} does as well as the model")
    assert "0.910 [0.870, 0.950]" in caveat


def test_rivals_are_judged_by_the_score_that_decides(results):
    results["detection"]["kl"]["auroc"] = {"value": 0.6, "low": 0.55, "high": 0.65}
    assert caveats(results, "mse") == []
    assert "pca (0.820)" in caveats(results, "kl")[0]


def test_a_score_that_ranks_the_wrong_way_round_is_told(results):
    results["detection"]["kl"]["auroc"] = {"value": 0.4, "low": 0.35, "high": 0.45}
    [caveat] = caveats(results, "mse")
    assert caveat.startswith("kl ranks anomalies below normals")


def test_range_of_the_false_alarm_rate_is_that_of_many_calibrations(results):
    num, alpha = 70, 0.05
    results["dataset"]["counts"]["calibration"] = num
    [caveat] = caveats(results, "mse", alpha)
    # Normal scores uniform on [0, 1], so the rate at a threshold t is 1 - t.
    scores = np.sort(np.random.default_rng(0).uniform(size=(40_000, num)), axis=1)
    thresholds = scores[:, int(np.ceil((1 - alpha) * (num + 1))) - 1]
    low, high = np.percentile(100 * (1 - thresholds), [2.5, 97.5])
    assert caveat.startswith("Only 70 calibration images")
    told = caveat.split("between ")[1].split(" %")[0], caveat.split("and ")[1].split(" %")[0]
    np.testing.assert_allclose([float(t) for t in told], [low, high], atol=0.15)


def test_more_false_alarms_than_chance_explains_are_told(results):
    results["detection"]["mse"]["fpr"] = 0.1
    assert caveats(results, "mse", 0.05) == []
    results["detection"]["mse"]["fpr"] = 0.2
    [caveat] = caveats(results, "mse", 0.05)
    assert "20.0 % of the normal test images, promised were 5.0 %" in caveat
    assert caveats(results, "mse") == []  # another rule promises no rate


@pytest.mark.parametrize(
    ("active", "total", "told"),
    [(0, 4, True), (1, 4, False), (0, 128, True), (12, 128, True), (13, 128, False), (1, 1, False)],
)
def test_a_collapsed_posterior_is_told(results, active, total, told):
    results["latent"] = {"active_units": active, "kl_per_dimension": [0.5] * total}
    found = caveats(results, "mse")
    assert len(found) == told
    if told:
        assert f"{active} of {total} latent dimensions" in found[0]
        assert ("collapsed" in found[0]) == (total == 4)  # 2 nats there, 64 elsewhere
