import csv

import numpy as np
import pytest

from vae_jax.detector.prediction_table import PredictionTable
from vae_jax.runtime.printable import escape_cell
from vae_jax.scoring.calibration import benjamini_hochberg


def make_row(table, file, p_value=0.5, **cells):
    row = dict.fromkeys(table.columns, "") | {"file": escape_cell(file), "status": "ok"}
    return row | {"p_value": p_value, "stored_bytes": 10, "modified_ns": 20} | cells


def read_rows(folder):
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_rows_of_a_stopped_prediction_are_found_again_by_name_and_stamp(tmp_path):
    with PredictionTable(tmp_path, ["mse"]) as table:
        table.write([make_row(table, "a,b.png", mse=1.5), make_row(table, "c.png", mse=2.5)])
    with PredictionTable(tmp_path, ["mse"]) as table:
        (row,) = table.find("a,b.png", (10, 20))
        assert row["mse"] == "1.5"
        assert table.find("a,b.png", (10, 21)) == []
        assert table.find("d.png", (10, 20)) == []
        table.write([row])
    # The prediction was stopped again: the rows of both tables are known.
    with PredictionTable(tmp_path, ["mse"]) as table:
        assert [len(table.find(name, (10, 20))) for name in ("a,b.png", "c.png")] == [1, 1]
        table.write([make_row(table, "c.png", mse=2.5)])
        table.finish()
    assert [row["file"] for row in read_rows(tmp_path)] == ["c.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_row_that_was_not_finished_is_not_used(tmp_path, cut):
    with PredictionTable(tmp_path, ["mse"]) as table:
        table.write([make_row(table, "a.png"), make_row(table, "b.png")])
    path = tmp_path / "predictions.csv"
    path.write_bytes(path.read_bytes()[:-cut])
    with PredictionTable(tmp_path, ["mse"]) as table:
        assert len(table.find("a.png", (10, 20))) == 1
        assert table.find("b.png", (10, 20)) == []


def test_all_tiles_of_an_image_are_found_again_unless_it_was_the_last(tmp_path):
    def write(table, *names):
        table.write([make_row(table, name, mse=i) for i, name in enumerate(names)])

    tiles = {"has_tiles": True}
    with PredictionTable(tmp_path, ["mse"], **tiles) as table:
        write(table, "a.png@0", "a.png@8", "b.png@0", "b.png@8", "c@8.png@0", "c@8.png@8")
        assert table.find("a.png", (10, 20)) == []
    with PredictionTable(tmp_path, ["mse"], **tiles) as table:
        assert [row["file"] for row in table.find("a.png", (10, 20))] == ["a.png@0", "a.png@8"]
        assert [row["mse"] for row in table.find("b.png", (10, 20))] == ["2", "3"]
        assert table.find("c@8.png", (10, 20)) == []
        # The file is listed twice, and its first tile is too bright the second time.
        write(table, "c@8.png@0", "c@8.png@8", "a.png@0", "b.png@8", "b.png@16")
    with PredictionTable(tmp_path, ["mse"], **tiles) as table:
        found = {name: table.find(name, (10, 20)) for name in ("a.png", "b.png", "c@8.png")}
    assert [row["file"] for row in found["a.png"]] == ["a.png@0"]
    assert [row["mse"] for row in found["b.png"]] == ["2", "3"]  # of the older table
    assert [row["mse"] for row in found["c@8.png"]] == ["0", "1"]


def test_a_table_of_other_scores_is_not_used(tmp_path):
    with PredictionTable(tmp_path, ["mse"]) as table:
        table.write([make_row(table, "a.png")])
    with PredictionTable(tmp_path, ["mse", "kl"]) as table:
        assert table.find("a.png", (10, 20)) == []


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+2.png", "'=1+2.png"),
        ("-a.png", "'-a.png"),
        ("@a.png", "'@a.png"),
        ("a\nb\x1b[31m.png", "a\\nb\\x1b[31m.png"),
        ("\ta.png", "\\ta.png"),
        ("bild \u00e4\u6f22.png", "bild \u00e4\u6f22.png"),
        (b"\xff.png".decode("utf-8", "surrogateescape"), "\\xff.png"),
    ],
)
def test_names_cannot_become_formulas_or_break_lines(tmp_path, name, cell):
    with PredictionTable(tmp_path, ["mse"]) as table:
        table.write([make_row(table, name)])
    assert [row["file"] for row in read_rows(tmp_path)] == [cell]
    with PredictionTable(tmp_path, ["mse"]) as table:
        assert len(table.find(name, (10, 20))) == 1


def test_all_images_are_decided_together_by_benjamini_hochberg(tmp_path):
    p_values = np.random.default_rng(0).uniform(size=200) ** 3
    with PredictionTable(tmp_path, ["mse"]) as table:
        table.write([make_row(table, f"{i}.png", p) for i, p in enumerate(p_values)])
        table.write([make_row(table, "broken.png", "", status="error")])
        count = table.decide_together(0.1)
    rows = read_rows(tmp_path)
    expected = benjamini_hochberg(p_values, 0.1)
    assert [row["anomalous"] for row in rows[:-1]] == [str(int(flag)) for flag in expected]
    assert rows[-1]["anomalous"] == ""
    assert count == expected.sum() > 0
