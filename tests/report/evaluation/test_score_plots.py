import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.report import drawing
from vae_jax.report.evaluation import score_plots
from vae_jax.scoring.score_table import ScoreTable


def make_scores(values, labels=None):
    labels = np.arange(len(values)) % 2 if labels is None else labels
    return ScoreTable(["a"] * len(values), labels, {"mse": values})


def count_pixels(figure, colour):
    image = np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB")).astype(int)
    target = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return int((abs(image - target).max(axis=2) < 20).sum())


@pytest.mark.parametrize("label", [0, 1])
def test_curves_need_normal_images_and_anomalies(label):
    scores = make_scores(np.array([1.0, 2.0]), np.array([label, label]))
    assert score_plots.draw_roc_and_precision_recall(scores, {"mse": {}}, {}) == []


def test_curves_have_the_areas_of_all_scores_in_their_alternative_text():
    scores = make_scores(np.arange(8.0))
    entry = {"auroc": {"value": 0.625}, "auprc": {"value": 0.7}}
    roc, precision_recall = score_plots.draw_roc_and_precision_recall(scores, {"mse": entry}, {})
    assert (roc.name, precision_recall.name) == ("roc", "precision_recall")
    assert roc.alt == "ROC curves. AUROC: mse 0.625."
    assert precision_recall.alt == "Precision-recall curves. AUPRC: mse 0.700."


def test_scores_are_drawn_in_colour_and_baselines_only_if_they_have_a_column():
    scores = make_scores(np.arange(40.0))
    with_pca = ScoreTable(
        scores.classes, scores.labels, scores.columns | {"pca": -(np.arange(40.0) ** 2) % 7}
    )
    entry = {"auroc": {"value": 0.5}, "auprc": {"value": 0.5}}
    plots = [
        score_plots.draw_roc_and_precision_recall(table, {"mse": entry}, {"pca": entry})[0]
        for table in (scores, with_pca)
    ]
    assert all(count_pixels(plot, drawing.BLUE) > 500 for plot in plots)
    assert count_pixels(plots[1], drawing.GREY) > count_pixels(plots[0], drawing.GREY) + 500


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
    entry = {"threshold": 1.0, "fpr": 0.25, "recall": 0.5}
    [figure] = score_plots.draw_histograms(make_scores(values), {"mse": entry})
    assert figure.png.startswith(b"\x89PNG")
    assert figure.caption == (
        "mse, threshold 1.000: it flags 50.0 % of the anomalies and 25.0 % of the normal images."
    )


def test_histogram_of_a_two_sided_threshold_names_both_limits():
    entry = {"threshold_low": 1.5, "threshold": 6.0, "fpr": 0.25}
    [figure] = score_plots.draw_histograms(make_scores(np.arange(8.0)), {"mse": entry})
    assert figure.caption.startswith("mse, thresholds 1.500 and 6.000: it flags 25.0 %")


def test_a_score_without_a_column_has_no_histogram():
    assert score_plots.draw_histograms(make_scores(np.arange(8.0)), {"kl": {}}) == []


def test_robustness_is_drawn_only_if_it_was_measured():
    assert score_plots.draw_robustness([]) == []
    sweep = [{"noise_std": 0.0, "mse": 0.01}, {"noise_std": 0.5, "mse": 0.0625}]
    [figure] = score_plots.draw_robustness(sweep)
    assert "0.01000 without noise, 0.06250 at 0.5" in figure.caption
