import numpy as np
import pytest

from vae_jax.report.evaluation import score_plots
from vae_jax.report.evaluation.run_files import Scores


def test_curves_come_only_with_both_kinds_of_image():
    scores = Scores(["a", "b"], np.array([0, 0]), {"mse": np.array([1.0, 2.0])})
    assert score_plots.trade_offs(scores, {"mse": {}}, {}) == []


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
    scores = Scores(["a"] * 8, np.arange(8) % 2, {"mse": values})
    [drawing] = score_plots.histograms(scores, {"mse": {"threshold": 1.0, "fpr": 0.25}})
    assert drawing.png.startswith(b"\x89PNG")
    assert "25.0 % of the normal images" in drawing.caption
