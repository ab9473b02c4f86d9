"""What a run left in its workdir, read back for the report."""

import csv
import dataclasses
import pathlib
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Float, Int

from vae_jax import workdir as workdir_lib
from vae_jax.training import history


@dataclasses.dataclass(frozen=True)
class Scores:
    """`scores.csv` in columns: a row per test image.

    Attributes:
        classes: class name of each image.
        labels: 0 normal, 1 anomaly.
        columns: the numeric columns by name: scores, and baselines where they were written.
    """

    classes: list[str]
    labels: Int[np.ndarray, " N"]
    columns: dict[str, np.ndarray]

    def of(self, name: str, label: int) -> Float[np.ndarray, " n"]:
        """Returns the column `name` of the images with this label."""
        return self.columns[name][self.labels == label]


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """A run: its config, `results.json` with `details.json`, the lines of `metrics.jsonl`, `scores.csv`."""

    config: ml_collections.ConfigDict
    results: dict[str, Any]
    history: list[dict[str, Any]]
    scores: Scores


def read(workdir: pathlib.Path) -> RunFiles:
    """Returns the record of the run in `workdir`; a missing history or score table reads as empty.

    Raises:
        UserError: `config.json` or `results.json` is missing or not readable.
    """
    return RunFiles(
        config=workdir_lib.read_config(workdir),
        results=workdir_lib.read_results(workdir),
        history=history.read_metrics(workdir),
        scores=_scores(workdir / "scores.csv"),
    )


def _scores(file: pathlib.Path) -> Scores:
    rows = []
    if file.exists():
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    columns = {name: _numbers(rows, name) for name in rows[0]} if rows else {}
    return Scores(
        classes=[row["class"] for row in rows],
        labels=np.array([int(row["label"]) for row in rows], np.int64),
        columns={name: column for name, column in columns.items() if column is not None},
    )


def _numbers(rows: list[dict[str, str]], name: str) -> np.ndarray | None:
    try:
        return np.array([float(row[name]) for row in rows])
    except ValueError:
        return None  # a column of words, such as the file names
