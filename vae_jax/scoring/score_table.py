"""The content of `scores.csv`, read again and stored by column. N test images."""

import csv
import dataclasses
import pathlib

import numpy as np
from jaxtyping import Float, Int

from vae_jax.runtime.printable import unescape_cell


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """The content of `scores.csv`: one row per test image, stored by column.

    Attributes:
        classes: class name of each image.
        labels: 0 for a normal image, 1 for an anomaly.
        columns: name -> values, for each column of numbers: scores, and the baselines that were written.
        files: name of each image, unique in the table.
    """

    classes: list[str]
    labels: Int[np.ndarray, "N"]
    columns: dict[str, np.ndarray]
    files: list[str] = dataclasses.field(default_factory=list)

    def select_column(self, name: str, label: int) -> Float[np.ndarray, "n"]:
        """Returns the values of one column for the images with this label."""
        return self.columns[name][self.labels == label]


def read_score_table(file: pathlib.Path) -> ScoreTable:
    """Reads `scores.csv`; a missing file counts as an empty one.

    Raises:
        KeyError: a column is missing.
        ValueError: a label is not a number.
    """
    rows = []
    if file.exists():
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    columns = {name: _parse_numbers(rows, name) for name in rows[0]} if rows else {}
    return ScoreTable(
        classes=[unescape_cell(row["class"]) for row in rows],
        labels=np.array([int(row["label"]) for row in rows], np.int64),
        columns={name: column for name, column in columns.items() if column is not None},
        files=[unescape_cell(row["file"]) for row in rows],
    )


def _parse_numbers(rows: list[dict[str, str]], name: str) -> np.ndarray | None:
    """Returns a column as numbers; None for a column of words, such as the file names."""
    try:
        return np.array([float(row[name]) for row in rows])
    except ValueError:
        return None
