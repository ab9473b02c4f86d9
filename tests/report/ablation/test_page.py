import re

from vae_jax.config import default
from vae_jax.report.ablation.cell_outcomes import CellOutcome
from vae_jax.report.ablation.page import write_page
from vae_jax.report.ablation.reconstructions import ReconstructionRow


def write(folder, levels, outcomes, reconstructions=(), differences=None):
    path = write_page(folder, default(), levels, outcomes, differences or {}, reconstructions)
    return path.read_text(encoding="utf-8")


def test_page_loads_nothing_from_elsewhere_and_every_image_has_an_alternative_text(
    tmp_path, levels, outcomes
):
    html = write(tmp_path, levels, outcomes)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert len(re.findall("<img", html)) == 4
    assert all(a.startswith(("data:image/png;base64,", "#", "cells/")) for a in addresses)
    assert not re.search(r"<script|<link|@import|url\(|https?://", html)
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img[^>]*>", html))
    assert "None" not in html
    assert len(list((tmp_path / "figures").glob("ablation_*.png"))) == 4


def test_page_shows_means_and_differences(tmp_path, levels, outcomes):
    html = write(tmp_path, levels, outcomes)
    assert "<b>0.801 ± 0.101</b><small>0.550 to 1.052</small>" in html
    assert "<b>+0.010 ± 0.000</b>" in html


def test_equal_outcomes_give_equal_bytes(tmp_path, levels, outcomes):
    assert write(tmp_path, levels, outcomes) == write(tmp_path, levels, outcomes)


def test_with_one_seed_the_page_claims_no_interval(tmp_path, levels, outcomes):
    html = write(tmp_path, levels, [outcome for outcome in outcomes if outcome.seed == 0])
    assert "There is only one seed" in html
    assert "±" not in html


def test_the_error_of_a_crashed_cell_is_shown_and_is_never_markup(
    tmp_path, levels, outcomes, make_outcome
):
    error = "RuntimeError: <script>alert(1)</script>"
    outcomes[-1] = make_outcome("16", "laplace", 2, 0, status="crashed", error=error, measures={})
    html = write(tmp_path, levels, outcomes)
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "1 of 12 cells crashed" in html


def test_an_ablation_without_a_finished_cell_has_a_page(tmp_path, levels, outcomes):
    waiting = [CellOutcome(o.name, o.levels, o.seed, "waiting") for o in outcomes]
    html = write(tmp_path, levels, waiting)
    assert "12 of 12 cells have not been trained yet" in html
    assert "<img" not in html


def test_an_ablation_without_anomalies_has_no_auroc(tmp_path, levels, outcomes):
    for outcome in outcomes:
        for name in [name for name in outcome.measures if name.startswith("auroc")]:
            del outcome.measures[name]
    html = write(tmp_path, levels, outcomes)
    assert "MSE, normals" in html
    assert "difference from base" not in html
    assert "AUROC of every score" not in html


def test_tables_of_maps_are_shown_for_every_factor(tmp_path, levels, outcomes):
    for outcome in outcomes:
        outcome.measures["localisation.mse.pixel_auroc"] = 0.6125
    html = write(tmp_path, levels, outcomes)
    assert html.count('<th scope="row">mse, pixel auroc</th>') == len(levels)


def test_reconstructions_are_shown_with_the_test_images_once(tmp_path, levels, outcomes):
    rows = [ReconstructionRow("16", b"x", b"y"), ReconstructionRow("4", b"", b"z")]
    html = write(tmp_path, levels, outcomes, rows)
    assert html.count('alt="Test images."') == 1
    assert re.findall(r'alt="Their reconstructions by ([^"]*)\."', html) == ["16", "4"]


def test_cells_with_different_deciding_scores_are_not_given_one_name(
    tmp_path, levels, outcomes, make_outcome
):
    outcomes[-1] = make_outcome("16", "laplace", 2, 0.9, decision="kl")
    assert "AUROC of the deciding score" in write(tmp_path, levels, outcomes)
