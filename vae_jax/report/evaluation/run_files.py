"""The files that a run has written to its workdir, read again for the report."""

import dataclasses
import pathlib
from typing import Any

import ml_collections

from vae_jax import workdir as workdir_lib
from vae_jax.scoring.score_table import ScoreTable, read_score_table
from vae_jax.training import history


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
        scores=read_score_table(workdir / "scores.csv"),
    )
