import numpy as np
import pytest

from vae_jax.report.ablation.factor_outcomes import group_by_factor
from vae_jax.report.ablation.factor_sections import SeedSummary, make_section


def make_sections(levels, outcomes):
    factors = group_by_factor(levels, outcomes, "one_at_a_time")
    return [make_section(factor, "mse") for factor in factors]


def test_mean_standard_deviation_and_interval_have_the_same_decimals(levels, outcomes):
    section = make_sections(levels, outcomes)[0]
    auroc, difference, mse = section.levels[1].summaries[:3]
    spread = np.std([0.7, 0.801, 0.902], ddof=1)
    assert section.headings[:3] == ["AUROC of mse", "difference from base", "MSE, normals"]
    assert auroc == SeedSummary(f"0.801 ± {spread:.3f}", "0.550 to 1.052")
    assert difference is None  # the base is not compared with itself
    assert mse.mean == f"0.0131 ± {spread / 1e3:.4f}"


def test_differences_have_a_sign(levels, outcomes):
    rows = make_sections(levels, outcomes)[0].levels
    assert [row.summaries[1] and row.summaries[1].mean for row in rows] == [
        "-0.010 ± 0.000", None, "+0.010 ± 0.000",
    ]  # fmt: skip


def test_rows_are_the_levels_with_their_number_of_finished_seeds(levels, outcomes, make_outcome):
    outcomes[1] = make_outcome("4", "bernoulli", 0, 0.0, status="crashed", measures={})
    rows = make_sections(levels, outcomes)[0].levels
    assert [(row.name, row.is_base, row.num_seeds) for row in rows] == [
        ("4", False, 2), ("16", True, 3), ("128", False, 3),
    ]  # fmt: skip


def test_scores_and_baselines_are_sorted_by_their_mean_at_the_base(levels, outcomes):
    for outcome in outcomes:
        outcome.measures["auroc.kl"] = 0.3
    rows = make_sections(levels, outcomes)[0].scores
    assert [(row.name, row.is_baseline) for row in rows] == [
        ("mse", False), ("pca", True), ("kl", False),
    ]  # fmt: skip
    assert all(len(row.summaries) == 3 for row in rows)


def test_one_seed_has_neither_spread_nor_interval(levels, outcomes):
    section = make_sections(levels, [o for o in outcomes if o.seed == 0])[0]
    assert section.levels[1].summaries[0] == SeedSummary("0.700", "")


@pytest.mark.parametrize("with_interval", [True, False])
def test_maps_and_strips_have_tables_of_their_own(levels, outcomes, with_interval):
    name = "strips.scores.mse.patch.clean.auroc"
    for outcome in outcomes:
        outcome.measures.update({"localisation.mse.pixel_auroc": 0.6125, "strips.counts.rolls": 7})
        outcome.measures[name] = 0.25
        if with_interval:
            outcome.measures.update({f"{name}.low": 0.2, f"{name}.high": 0.3})
    for section in make_sections(levels, outcomes):
        tables = {title: [row.name for row in rows] for title, rows in section.other_tables}
        assert tables == {
            "Anomaly maps compared with masks": ["mse, pixel auroc"],
            "Whole strips, their tiles and their pixels": ["scores, mse, patch, clean, auroc"],
        }


def test_without_anomalies_only_reconstructions_are_compared(levels, outcomes):
    for outcome in outcomes:
        for name in [name for name in outcome.measures if name.startswith("auroc")]:
            del outcome.measures[name]
    section = make_sections(levels, outcomes)[0]
    assert section.headings == ["MSE, normals", "training, s"]
    assert section.scores == []
    assert [figure.name for figure in section.figures] == ["ablation_model.latent_dim_normal.mse"]
