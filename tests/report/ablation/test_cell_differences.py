import csv
import dataclasses
import io

import pytest

from tests.report.ablation.test_page import write
from tests.stored_runs import write_run
from vae_jax.comparison.stored_run import read_run
from vae_jax.metrics.auroc_difference import subtract_aurocs
from vae_jax.report.ablation.cell_differences import compare_with_base_cells
from vae_jax.report.ablation.cell_outcomes import format_csv


@pytest.fixture
def stored(outcomes, tmp_path):
    """The outcomes of two seeds with their runs; one cell has other test images."""
    return [
        dataclasses.replace(
            outcome,
            run=read_run(
                write_run(
                    tmp_path / outcome.name,
                    seed=outcome.seed,
                    shift=1.0 + number,
                    prefix="other" if outcome.name == "16-laplace,seed=1" else "",
                )
            ),
        )
        for number, outcome in enumerate(outcomes)
        if outcome.seed < 2
    ]


def test_a_cell_is_compared_with_the_base_of_its_seed_on_the_same_images(levels, stored):
    differences = compare_with_base_cells(levels, stored)
    runs = {outcome.name: outcome.run for outcome in stored}
    assert list(differences) == [
        "4-bernoulli,seed=0", "128-bernoulli,seed=0", "16-laplace,seed=0",
        "4-bernoulli,seed=1", "128-bernoulli,seed=1",
    ]  # fmt: skip
    for name, difference in differences.items():
        run, base = runs[name], runs[f"16-bernoulli,{name.partition(',')[2]}"]
        expected = subtract_aurocs(run.scores, base.scores, run.labels, run.groups)
        assert (difference.value, difference.low) == (expected["value"], expected["low"])


def test_without_the_base_of_a_seed_there_is_no_difference(levels, stored):
    stored[0] = dataclasses.replace(stored[0], run=None, status="crashed")
    assert {name[-1] for name in compare_with_base_cells(levels, stored)} == {"1"}


def test_the_page_and_the_table_show_the_differences(tmp_path, levels, stored):
    differences = compare_with_base_cells(levels, stored)
    html = write(tmp_path, levels, stored, differences=differences)
    difference = differences["4-bernoulli,seed=0"]
    assert f"<b>{difference.value:+.3f}</b> [{difference.low:+.3f}, {difference.high:+.3f}]" in html
    assert "corrected for all 5 cells" in html
    rows = list(csv.DictReader(io.StringIO(format_csv(stored, differences))))
    cells = [row["auroc_minus_base"] for row in rows]
    assert cells.count("") == 3
    assert float(rows[1]["auroc_minus_base"]) == difference.value
    assert float(rows[1]["auroc_minus_base.p_holm"]) == difference.p_holm
