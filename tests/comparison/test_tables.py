import csv
import io
import json

import pytest

from tests.stored_runs import write_run
from vae_jax.comparison.comparison import compare_runs
from vae_jax.comparison.stored_run import read_run
from vae_jax.comparison.tables import format_csv, format_json


@pytest.fixture(scope="module")
def comparison(runs):
    return compare_runs(runs)


def test_the_table_has_a_row_per_run(comparison, runs, workdirs):
    rows = list(csv.DictReader(io.StringIO(format_csv(comparison, workdirs[0].parent / "page"))))
    assert [row["workdir"] for row in rows] == [f"../{workdir.name}" for workdir in workdirs]
    for row, run in zip(rows, runs, strict=True):
        assert float(row["auroc"]) == float(row["auroc.mse"]) == run.auroc["value"]
        assert float(row["auroc.low"]) == run.auroc["low"]
        assert (row["parameters"], row["seed"], row["score"]) == ("1234", str(run.seed), "mse")
        assert row["best_baseline.name"] in ("pca", "stored_width")
        assert float(row["auroc.stored_width"]) < 0.5


def test_a_name_that_begins_like_a_formula_is_no_formula(tmp_path):
    run = read_run(write_run(tmp_path / "a", name="=1+1"))
    (row,) = csv.DictReader(io.StringIO(format_csv(compare_runs([run]), tmp_path)))
    assert row["setting"] == "'=1+1"


def test_the_numbers_of_the_page_are_in_the_file(comparison, runs, workdirs):
    content = json.loads(format_json(comparison, workdirs[0].parent))
    assert [run["workdir"] for run in content["runs"]] == [workdir.name for workdir in workdirs]
    assert content["settings"][1]["auroc"]["num_seeds"] == 3
    assert [d["first"] for d in content["differences"]] == [w.name for w in workdirs[:3]]
    assert content["differences_over_seeds"][0]["mean"] < 0
    assert "average_ranks" not in content["scores"]
    assert "mean nothing" in content["scores"]["problem"]
    assert content["cautions"] == comparison.cautions


def test_a_comparison_says_what_must_not_be_concluded(comparison, tmp_path):
    text = " ".join(comparison.cautions)
    assert "makes a choice on test data" in text
    assert "3 differences between runs" in text
    for absent in ("different scores", "one seed only", "earlier version", "No two settings"):
        assert absent not in text
    other = write_run(tmp_path / "a", deciding="kl", groups=False)
    same = write_run(tmp_path / "b", groups=False)
    text = " ".join(compare_runs([read_run(other), read_run(same)]).cautions)
    assert "different scores (kl, mse)" in text
    assert "2 of 2 settings have one seed only" in text
    assert "2 of 2 runs were evaluated by an earlier version" in text
