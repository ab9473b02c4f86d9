"""Plots of anomaly maps against masks, drawn from measured curves."""

import numpy as np
import pytest

from vae_jax.metrics.localisation import Localisation
from vae_jax.report import drawing
from vae_jax.report.evaluation.localisation_plots import draw_localisation


@pytest.fixture(scope="module")
def results():
    """Sections of a run whose map `mse` finds the masks, and whose baseline `pca` does not."""
    rng = np.random.default_rng(0)
    masks = np.zeros((6, 16, 16), np.uint8)
    masks[:, 4:8, 4:8] = 1
    sections = {"localisation": {}, "localisation_curves": {}}
    for name, contrast in (("mse", 3.0), ("pca", 0.0)):
        localisation = Localisation()
        maps = rng.gamma(2.0, 1.0, masks.shape) + contrast * masks
        localisation.update(maps.astype(np.float32), masks)
        measures = localisation.result(with_curves=True)
        sections["localisation_curves"][name] = measures.pop("curves")
        sections["localisation"][name] = measures
    return sections


def test_the_text_names_the_areas_and_the_share_that_is_found(results):
    pro, overlap = draw_localisation(results, "mse")
    for name in ("mse", "pca"):
        assert f"{name} {results['localisation'][name]['aupro']:.3f}" in pro.alt
    curves = results["localisation_curves"]["mse"]
    median = curves["overlap"]["median"][curves["fpr"].index(0.01)]
    assert f"more than {100 * median:.1f} %" in overlap.caption
    assert pro.png != overlap.png
    assert pro.png.startswith(b"\x89PNG")


def test_a_map_that_was_not_measured_has_no_plot_of_overlaps(results):
    assert [plot.name for plot in draw_localisation(results, "error")] == ["pro"]


def test_without_masks_there_is_no_plot():
    assert draw_localisation({"localisation": {}}, "mse") == []


def test_long_names_are_listed_in_one_column():
    assert drawing.choose_legend_columns(["mse (0.900)", "pca (0.800)"]) == 2
    assert drawing.choose_legend_columns(["mse", "features_place_gaussian_max (0.948)"]) == 1
