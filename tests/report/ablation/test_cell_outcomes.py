import csv
import io

import pytest

from vae_jax.report.ablation.cell_outcomes import CellOutcome, format_csv, pick_measures


def test_auroc_is_that_of_the_deciding_score_of_every_score_and_of_every_baseline(results):
    results["decision"]["score"] = "kl"
    results["detection"]["kl"]["auroc"] = {"value": 0.6, "low": 0.5, "high": 0.7}
    measures = pick_measures(results)
    expected = {"auroc": 0.6, "auroc.low": 0.5, "auroc.high": 0.7, "auroc.kl": 0.6}
    expected |= {"auroc.mse": 0.91, "auroc.baseline.pca": 0.82, "auroc.baseline.mean": 0.55}
    assert {name: measures[name] for name in expected} == expected


def test_reconstruction_latent_and_cost_are_compared(results):
    results["latent"] = {"active_units": 2, "kl_per_dimension": [0.5, 0.25]}
    results["likelihood"] = {"elbo_nats": -12.5, "samples": 64}
    results["cost"]["peak_memory_bytes"] = 123
    measures = pick_measures(results)
    expected = {"normal.mse": 0.0141, "anomaly.mse": 0.0297, "normal.psnr": 18.51}
    expected |= {"active_units": 2, "kl_nats": 0.75, "elbo_nats": -12.5, "parameters": 91_234}
    assert {name: measures[name] for name in expected} == expected
    assert "samples" not in measures
    assert "peak_memory_bytes" not in measures


def test_cells_of_text_are_no_formulas_and_numbers_stay():
    levels = {"data.x": "=1+1", "data.y": "-1.5"}
    text = format_csv([CellOutcome("=cell", levels, 0, "crashed", error="@error")])
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["cell"], row["data.x"], row["error"]) == ("'=cell", "'=1+1", "'@error")
    assert row["data.y"] == "-1.5"


def test_measures_of_maps_and_strips_keep_their_path():
    auroc = {"auroc": {"value": 0.25, "low": 0.2, "high": 0.3}}
    results = {
        "localisation": {"mse": {"pixel_auroc": 0.6125}},
        "strips": {"counts": {"rolls": 7}, "scores": {"mse": {"patch": {"clean": auroc}}}},
    }
    assert pick_measures(results) == {
        "localisation.mse.pixel_auroc": 0.6125,
        "strips.counts.rolls": 7,
        "strips.scores.mse.patch.clean.auroc": 0.25,
        "strips.scores.mse.patch.clean.auroc.low": 0.2,
        "strips.scores.mse.patch.clean.auroc.high": 0.3,
    }


def test_a_run_without_results_has_no_measures():
    assert pick_measures({}) == {}


def test_csv_has_a_row_per_cell_and_an_empty_field_for_a_missing_measure(outcomes, make_outcome):
    error = 'RuntimeError: a comma, and "quotes"'
    crashed = make_outcome("4", "laplace", 9, 0.0, status="crashed", error=error, measures={})
    rows = list(csv.DictReader(io.StringIO(format_csv([*outcomes, crashed]))))
    assert [row["cell"] for row in rows] == [o.name for o in (*outcomes, crashed)]
    for row, outcome in zip(rows[:-1], outcomes, strict=True):
        assert float(row["auroc"]) == outcome.measures["auroc"]
        assert row["model.latent_dim"] == outcome.levels["model.latent_dim"]
    assert rows[-1]["error"] == error
    assert rows[-1]["auroc"] == ""
    assert rows[-1]["seed"] == "9"


@pytest.mark.parametrize("order", [1, -1])
def test_columns_of_the_csv_are_those_of_all_cells(outcomes, make_outcome, order):
    other = make_outcome("4", "laplace", 9, 0.0, measures={"nll_nats": 3.5})
    [first, *_] = csv.reader(io.StringIO(format_csv([outcomes[0], other][::order])))
    assert {"auroc", "nll_nats"} <= set(first)
    assert len(set(first)) == len(first)
