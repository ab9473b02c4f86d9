"""The files that a run has written to its workdir, read again for the report. N test images."""

import csv
import dataclasses
import pathlib
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Float, Int

from vae_jax import workdir as workdir_lib
from vae_jax.runtime.printable import unescape_cell
from vae_jax.training import history


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """The content of `scores.csv`: one row per test image, stored by column.

    Attributes:
        classes: class name of each image.
        labels: 0 for a normal image, 1 for an anomaly.
        columns: name -> values, for each column of numbers: scores, and the baselines that were written.
    """

    classes: list[str]
    labels: Int[np.ndarray, "N"]
    columns: dict[str, np.ndarray]

    def select_column(self, name: str, label: int) -> Float[np.ndarray, "n"]:
        """Returns the values of one column for the images with this label."""
        return self.columns[name][self.labels == label]


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The files of a run that the report shows.

    Attributes:
        config: content of `config.json`.
        results: content of `results.json` and `details.json`.
        history: rows of `metrics.jsonl`, one per epoch and split.
        scores: content of `scores.csv`.
    """

    config: ml_collections.ConfigDict
    results: dict[str, Any]
    history: list[dict[str, Any]]
    scores: ScoreTable


def read_run_files(workdir: pathlib.Path) -> RunFiles:
    """Reads the files of a run; a missing `metrics.jsonl` or `scores.csv` counts as an empty file.

    Raises:
        UserError: `config.json` or `results.json` is missing or not readable.
    """
    return RunFiles(
        config=workdir_lib.read_config(workdir),
        results=workdir_lib.read_results(workdir),
        history=history.read_metrics(workdir),
        scores=_read_scores(workdir / "scores.csv"),
    )


def _read_scores(file: pathlib.Path) -> ScoreTable:
    rows = []
    if file.exists():
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    columns = {name: _parse_numbers(rows, name) for name in rows[0]} if rows else {}
    return ScoreTable(
        classes=[unescape_cell(row["class"]) for row in rows],
        labels=np.array([int(row["label"]) for row in rows], np.int64),
        columns={name: column for name, column in columns.items() if column is not None},
    )


def _parse_numbers(rows: list[dict[str, str]], name: str) -> np.ndarray | None:
    """Returns a column as numbers; None for a column of words, such as the file names."""
    try:
        return np.array([float(row[name]) for row in rows])
    except ValueError:
        return None
