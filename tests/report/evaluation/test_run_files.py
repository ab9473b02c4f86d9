import csv

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.report.evaluation.run_files import read_run_files


def test_scores_are_read_by_column_and_label(workdir):
    scores = read_run_files(workdir).scores
    with (workdir / "scores.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for label in (0, 1):
        expected = [float(row["kl"]) for row in rows if row["label"] == str(label)]
        np.testing.assert_array_equal(scores.select_column("kl", label), expected)
    assert scores.classes == [row["class"] for row in rows]


def test_columns_of_words_are_left_out(workdir):
    assert "file" not in read_run_files(workdir).scores.columns


def test_missing_history_and_scores_count_as_empty(workdir):
    for name in ("metrics.jsonl", "scores.csv"):
        (workdir / name).unlink()
    run = read_run_files(workdir)
    assert run.history == []
    assert run.scores.columns == {}
    assert len(run.scores.labels) == 0


def test_the_last_epoch_of_the_history_is_read(workdir):
    rows = read_run_files(workdir).history
    assert [row["epoch"] for row in rows if row["split"] == "val"] == list(range(1, 21))


@pytest.mark.parametrize("name", ["config.json", "results.json"])
def test_a_missing_config_or_result_is_an_error_that_names_the_file(workdir, name):
    (workdir / name).unlink()
    with pytest.raises(UserError, match=name):
        read_run_files(workdir)
