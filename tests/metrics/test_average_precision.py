import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from vae_jax.metrics.average_precision import compute_influences, measure_auprc


@pytest.mark.parametrize("levels", [None, 6])
def test_influences_are_derivatives_of_the_weighted_average_precision_of_sklearn(levels):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [30, 20])
    scores = rng.normal(size=50) + labels
    if levels:
        scores = np.round(scores * levels / 4)
    of_anomalies, of_normals = compute_influences(scores, labels)
    derivatives = np.empty(50)
    for i in range(50):
        ends = []
        for step in (-1e-5, 1e-5):
            weights = np.ones(50)
            weights[i] += step
            ends.append(average_precision_score(labels, scores, sample_weight=weights))
        derivatives[i] = (ends[1] - ends[0]) / 2e-5
    # More weight for one image is less weight, as a share, for the others; this moves every value equally.
    for ours, expected, count in (
        (of_anomalies, derivatives[labels == 1], 20),
        (of_normals, derivatives[labels == 0], 30),
    ):
        np.testing.assert_allclose(
            ours - ours.mean(), count * (expected - expected.mean()), atol=1e-6
        )


def test_perfect_separation_has_the_interval_of_wilson():
    labels = np.repeat([0, 1], [40, 25])
    interval = measure_auprc(labels.astype(float), labels)
    wilson = stats.binomtest(25, 25).proportion_ci(method="wilson")
    assert interval == pytest.approx({"value": 1, "low": wilson.low, "high": 1})
