"""Every CSV file of the package: no cell of text is a formula to a spreadsheet, or more than one line."""

import ast
import csv
import inspect
import io
import pathlib
import types

import numpy as np
import pytest

import vae_jax
from vae_jax import evaluate, predict
from vae_jax.comparison import tables
from vae_jax.data.framing import Framing
from vae_jax.detector.prediction_table import PredictionTable
from vae_jax.detector.sources import Source
from vae_jax.detector.stream import ScoredImage
from vae_jax.report.ablation.cell_outcomes import CellOutcome, format_csv
from vae_jax.scoring.decision import Decision

PACKAGE = pathlib.Path(vae_jax.__file__).parent
WRITERS = {"writer", "DictWriter", "to_csv", "savetxt", "write_csv"}
BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "'=", "\n=")


def list_writers():
    """File and function of every call that makes a CSV writer, found in the source."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef):
                calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
                names = {getattr(call, "attr", getattr(call, "id", "")) for call in calls}
                if names & WRITERS:
                    found.add((path.relative_to(PACKAGE).as_posix(), function.name))
    return found


def write_scores(text, folder):
    row = {"file": text, "class": text, "label": 1, "mse": -0.5, "p_value": 0.5, "anomalous": 0}
    return evaluate.format_scores([row])


def write_ablation(text, folder):
    fields = {"data.x": text}
    return format_csv([CellOutcome(text, fields, 0, "crashed", error=text, decision=text)])


def write_predictions(text, folder):
    decision = Decision("mse", "", None, {}, np.array([-0.5]), np.array([0.5]), np.array([True]))
    source = Source(text, None)
    images = [
        ScoredImage(source, Framing(8, 1), error=text),
        ScoredImage(source, Framing(8, 1), columns={"mse": np.array([-0.5])}),
    ]
    with PredictionTable(folder, ["mse"]) as table:
        for image in images:
            table.write(predict._make_image_rows(image, decision, 0))
        table.decide_together(0.1)  # writes the table again
    return table.path.read_text("utf-8")


def write_comparison(text, folder):
    """The table of a comparison whose only run has the text in two columns."""
    row = {"label": text, "name": text, "auroc": dict.fromkeys(("value", "low", "high"), -0.5)}
    run = types.SimpleNamespace(list_aurocs=dict)
    comparison = types.SimpleNamespace(
        scores=types.SimpleNamespace(competitors=[]),
        list_runs=lambda: [(None, run)],
        baselines=[None],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "describe_run", lambda *args: row | {"cost": {}})
        return inspect.unwrap(tables.format_csv)(comparison, folder)


TABLES = {
    ("comparison/tables.py", "format_csv"): write_comparison,
    ("evaluate.py", "format_scores"): write_scores,
    ("report/ablation/cell_outcomes.py", "format_csv"): write_ablation,
    ("detector/prediction_table.py", "__init__"): write_predictions,
    ("detector/prediction_table.py", "decide_together"): write_predictions,
}


def test_every_writer_of_a_csv_file_is_tried_here():
    assert list_writers() == set(TABLES)


@pytest.mark.parametrize(
    "write", [write_scores, write_ablation, write_predictions, write_comparison]
)
def test_no_cell_of_text_is_a_formula_or_more_than_one_line(write, tmp_path):
    for i, beginning in enumerate(BEGINNINGS):
        folder = tmp_path / str(i)
        folder.mkdir()
        hostile = f'{beginning}HYPERLINK("http://x")\n'
        header, *rows = csv.reader(io.StringIO(write(hostile, folder), newline=""))
        assert rows
        num_hostile = 0
        for name, cell in [
            (name, cell) for row in rows for name, cell in zip(header, row, strict=True)
        ]:
            assert "\n" not in cell
            assert "\r" not in cell
            if "HYPERLINK" in cell:
                num_hostile += 1
                assert not cell.startswith(("=", "+", "-", "@", "\t")), name
        assert num_hostile >= 2
