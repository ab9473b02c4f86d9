import math
import re

import numpy as np
import pytest
from scipy import stats

from vae_jax.config import default
from vae_jax.report.ablation import cell_measures, page, reconstructions
from vae_jax.report.ablation.cell_measures import Outcome

LEVELS = {"model.latent_dim": ["16", "4", "128"], "model.likelihood": ["bernoulli", "laplace"]}
SEEDS = (0, 1, 2)


def outcome(latent, likelihood, seed, auroc, **given):
    measures = {"auroc": auroc, "auroc.low": auroc - 0.02, "auroc.high": auroc + 0.02}
    measures |= {"auroc.mse": auroc, "auroc.baseline.pca": 0.8, "normal.mse": 0.0123 + auroc / 1e3}
    measures |= {"parameters": 1000, "train_seconds": 61.0}
    fields = {"model.latent_dim": latent, "model.likelihood": likelihood}
    given = {"status": "done", "decision": "mse", "measures": measures} | given
    return Outcome(f"{latent}-{likelihood},seed={seed}", fields, seed, **given)


@pytest.fixture
def outcomes():
    """One factor at a time; the seeds differ much, the levels little."""
    settings = [("16", "bernoulli", 0.0), ("4", "bernoulli", -0.01), ("128", "bernoulli", 0.01)]
    settings.append(("16", "laplace", 0.02))
    return [
        outcome(latent, likelihood, seed, 0.7 + 0.1 * seed + shift + 0.001 * seed)
        for seed in SEEDS
        for latent, likelihood, shift in settings
    ]


def test_interval_over_seeds_is_scipys(outcomes):
    factor = cell_measures.factors(LEVELS, outcomes, "one_at_a_time")[0]
    values = cell_measures.by_seed(factor, "4", "auroc")
    assert list(values) == list(SEEDS)
    found = cell_measures.summary(values)
    mean, error = np.mean(list(values.values())), stats.sem(list(values.values()))
    low, high = stats.t.interval(0.95, len(SEEDS) - 1, mean, error)
    assert (found["low"], found["high"]) == pytest.approx((low, high))


def test_the_difference_from_the_base_is_taken_seed_by_seed(outcomes):
    factor = cell_measures.factors(LEVELS, outcomes, "one_at_a_time")[0]
    alone = cell_measures.summary(cell_measures.by_seed(factor, "128", "auroc"))
    paired = cell_measures.less_base(factor, "128", "auroc")
    assert paired["mean"] == pytest.approx(0.01)
    assert paired["spread"] == pytest.approx(0, abs=1e-12)
    assert alone["spread"] > 0.09


def test_a_factor_is_judged_with_the_others_at_their_base(outcomes):
    latent, likelihood = cell_measures.factors(LEVELS, outcomes, "one_at_a_time")
    assert {o.levels["model.likelihood"] for o in latent.outcomes} == {"bernoulli"}
    assert {o.levels["model.latent_dim"] for o in likelihood.outcomes} == {"16"}


def test_a_full_design_averages_over_the_others_where_none_is_missing():
    outcomes = [
        outcome("16", "bernoulli", 0, 0.6), outcome("16", "laplace", 0, 0.8),
        outcome("4", "bernoulli", 0, 0.5),
        outcome("4", "laplace", 0, 0.0, status="crashed", error="x", measures={}),
    ]  # fmt: skip
    factor = cell_measures.factors(LEVELS, outcomes, "full")[0]
    assert cell_measures.by_seed(factor, "16", "auroc") == pytest.approx({0: 0.7})
    assert cell_measures.by_seed(factor, "4", "auroc") == {}


def test_numbers_stand_in_their_order_and_words_in_the_users(outcomes):
    latent, likelihood = cell_measures.factors(LEVELS, outcomes, "one_at_a_time")
    assert latent.levels == ["4", "16", "128"]
    assert likelihood.levels == ["bernoulli", "laplace"]
    assert latent.base == "16"


def test_page_loads_nothing_from_anywhere_and_every_image_has_words(tmp_path, outcomes):
    html = page.write(tmp_path, default(), LEVELS, outcomes, []).read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert len(re.findall("<img", html)) == 4
    assert all(s.startswith(("data:image/png;base64,", "#", "cells/")) for s in sources)
    assert not re.search(r"<script|<link|@import|url\(|https?://", html)
    assert all(re.search(r'alt="[^"]+"', image) for image in re.findall(r"<img[^>]*>", html))
    assert "None" not in html
    assert len(list((tmp_path / "figures").glob("ablation_*.png"))) == 4


def test_mean_and_spread_are_written_with_the_same_decimals(tmp_path, outcomes):
    html = page.write(tmp_path, default(), LEVELS, outcomes, []).read_text(encoding="utf-8")
    spread = math.sqrt(np.var([0.7, 0.801, 0.902], ddof=1))
    assert f"<b>0.801 ± {spread:.3f}</b>" in html
    assert "<b>+0.010 ± 0.000</b>" in html
    assert f"<b>0.0131 ± {spread / 1e3:.4f}</b>" in html


def test_same_outcomes_give_the_same_bytes(tmp_path, outcomes):
    pages = [page.write(tmp_path, default(), LEVELS, outcomes, []) for _ in range(2)]
    first, again = (page.read_bytes() for page in pages)
    assert first == again


def test_one_seed_claims_no_interval(tmp_path, outcomes):
    only = [found for found in outcomes if found.seed == 0]
    html = page.write(tmp_path, default(), LEVELS, only, []).read_text(encoding="utf-8")
    assert "One seed" in html
    assert "±" not in html


def test_a_crashed_cell_is_told_and_cannot_become_markup(tmp_path, outcomes):
    evil = "RuntimeError: <script>alert(1)</script>"
    outcomes[-1] = outcome("16", "laplace", 2, 0, status="crashed", error=evil, measures={})
    html = page.write(tmp_path, default(), LEVELS, outcomes, []).read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)" in html
    assert "<script" not in html
    assert "1 of 12 cells crashed" in html


def test_an_ablation_without_a_finished_cell_has_a_page(tmp_path, outcomes):
    waiting = [Outcome(o.name, o.levels, o.seed, "waiting") for o in outcomes]
    html = page.write(tmp_path, default(), LEVELS, waiting, []).read_text(encoding="utf-8")
    assert "12 of 12 cells have not been trained yet" in html
    assert "<img" not in html


def test_an_ablation_without_anomalies_compares_reconstructions(tmp_path, outcomes):
    for found in outcomes:
        for name in [name for name in found.measures if name.startswith("auroc")]:
            del found.measures[name]
    html = page.write(tmp_path, default(), LEVELS, outcomes, []).read_text(encoding="utf-8")
    assert "MSE, normals" in html
    assert "less base" not in html
    assert "AUROC of every score" not in html


def test_maps_and_strips_are_compared_with_and_without_intervals(tmp_path, outcomes):
    clean = {"auroc": {"value": 0.25, "low": 0.2, "high": 0.3}}
    results = {
        "localisation": {"mse": {"pixel_auroc": 0.6125}},
        "strips": {"counts": {"rolls": 7}, "scores": {"mse": {"patch": {"clean": clean}}}},
    }
    found = cell_measures.measures(results)
    assert found == {
        "localisation.mse.pixel_auroc": 0.6125, "strips.counts.rolls": 7,
        "strips.scores.mse.patch.clean.auroc": 0.25,
        "strips.scores.mse.patch.clean.auroc.low": 0.2,
        "strips.scores.mse.patch.clean.auroc.high": 0.3,
    }  # fmt: skip
    for one in outcomes:
        one.measures.update(found)
    html = page.write(tmp_path, default(), LEVELS, outcomes, []).read_text(encoding="utf-8")
    rows = re.findall(r'<th scope="row">(mse, [^<]*|scores, [^<]*|[^<]*rolls)</th>', html)
    assert rows == ["mse, pixel auroc", "scores, mse, patch, clean, auroc"] * len(LEVELS)


def test_images_that_repeat_are_shown_once(tmp_path, report_images):
    for name in ("base,seed=0", "b=1,seed=0"):
        reconstructions.write(tmp_path, name, report_images)
    first, second = reconstructions.read(tmp_path, ["base,seed=0", "b=1,seed=0", "c=1,seed=0"])
    assert (first.name, second.name) == ("base", "b=1")
    assert first.images
    assert not second.images
    assert first.copies == second.copies
