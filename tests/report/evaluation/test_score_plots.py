import numpy as np
import pytest

from vae_jax.report.evaluation import score_plots
from vae_jax.report.evaluation.run_files import ScoreTable


def test_curves_need_normal_images_and_anomalies():
    scores = ScoreTable(["a", "b"], np.array([0, 0]), {"mse": np.array([1.0, 2.0])})
    assert score_plots.draw_roc_and_precision_recall(scores, {"mse": {}}, {}) == []


@pytest.mark.parametrize(
    "values",
    [
        np.ones(8),
        np.array([-3.0, 2, 1, 4, 0, 2, 5, 9]),
        np.geomspace(1e-4, 1e4, 8),
        np.array([0.0, 0, 0, 0, 0, 0, 0, 1e6]),
    ],
    ids=["constant", "negative", "nine decades", "one far away"],
)
def test_histogram_takes_any_finite_scores(values):
    scores = ScoreTable(["a"] * 8, np.arange(8) % 2, {"mse": values})
    [drawing] = score_plots.draw_histograms(scores, {"mse": {"threshold": 1.0, "fpr": 0.25}})
    assert drawing.png.startswith(b"\x89PNG")
    assert "25.0 % of the normal images" in drawing.caption
