"""The table of the experiments and their sources: one row per figure, read from finished runs.

`experiments.csv` beside this file defines the rows: where a run stores the figure, what the source reports,
and the protocol. Kinds of figures:

    interval     a value with its 95 % interval
    number D     a number with D digits after the point
    percent      a share as a percentage
    passed       the share of images that was not flagged, as a percentage
    gain         "BEFORE>AFTER/MEASURE": the mean difference of two cells of an ablation over the seeds
"""

import csv
import pathlib
from typing import Any

import numpy as np

from vae_jax.errors import UserError
from vae_jax.metrics.seeds import summarise_runs
from vae_jax.workdir import read_results

_TABLE = pathlib.Path(__file__).with_name("experiments.csv")


def read_table(runs: pathlib.Path) -> dict[str, dict[str, str]]:
    """Returns figure -> the texts `ours`, `source` and `protocol` of its row.

    Args:
        runs: folder with the workdirs of `experiments.py`; `ours` is "not run" if a workdir is missing.
    """
    rows_by_figure = {}
    with _TABLE.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            read_figure = _format_gain if row["kind"] == "gain" else _format_figure
            try:
                ours = read_figure(runs / row["workdir"], row["path"], row["kind"])
            except (
                UserError,
                KeyError,
                FileNotFoundError,
                ValueError,
            ):  # ValueError: no seed is finished
                ours = "not run"
            rows_by_figure[row["figure"]] = {
                "ours": ours,
                "source": row["source"],
                "protocol": row["protocol"],
            }
    return rows_by_figure


def _format_figure(workdir: pathlib.Path, path: str, kind: str) -> str:
    value: Any = read_results(workdir)
    for part in path.split("/"):
        value = value[part]
    if kind == "interval":
        return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    if kind == "percent":
        return f"{100 * value:.1f} %"
    if kind == "passed":
        return f"{100 * (1 - value):.2f} %"
    return f"{value:.{kind.removeprefix('number ')}f}"


def _format_gain(workdir: pathlib.Path, path: str, kind: str) -> str:
    """Returns the mean difference of two cells over the seeds, with its interval if there is one."""
    del kind
    cells, measure = path.rsplit("/", 1)
    with (workdir / "ablation.csv").open(newline="", encoding="utf-8") as stream:
        values = {row["cell"]: row[measure] for row in csv.DictReader(stream)}
    before, after = (_select_seeds(values, cell) for cell in cells.split(">"))
    gain = summarise_runs(np.array([after[seed] - before[seed] for seed in before]))
    interval = f" [{gain['low']:+.3f}, {gain['high']:+.3f}]" if "low" in gain else ""
    return f"{gain['mean']:+.3f}{interval}"


def _select_seeds(values: dict[str, str], cell: str) -> dict[str, float]:
    """Returns seed -> value for the finished runs of one cell; `values` maps "CELL,seed=SEED" to text."""
    prefix = f"{cell},seed="
    return {
        name.removeprefix(prefix): float(value)
        for name, value in values.items()
        if value and name.startswith(prefix)
    }
