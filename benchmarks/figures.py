"""The table that holds the experiments against their sources: a row a figure, read from finished runs.

`experiments.csv` beside this file names the rows: where the figure stands, what the source says, how
the protocols differ. Kinds of figures:

    interval     a value with its 95 % interval
    number D     D digits after the point
    percent      a share
    passed       the share that was not flagged
    gain         of an ablation: "BEFORE>AFTER/MEASURE", the mean difference of two cells over the seeds
"""

import csv
import pathlib
from typing import Any

import numpy as np

from vae_jax.errors import UserError
from vae_jax.metrics.seeds import over_seeds
from vae_jax.workdir import read_results

_TABLE = pathlib.Path(__file__).with_name("experiments.csv")


def table(runs: pathlib.Path) -> dict[str, dict[str, str]]:
    """Returns figure -> `ours`, `source` and `protocol`, as the table shows them.

    Args:
        runs: holds the workdirs of `experiments.py`; what is not there is "not run".
    """
    found = {}
    with _TABLE.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            read = _gain if row["kind"] == "gain" else _figure
            try:
                ours = read(runs / row["workdir"], row["path"], row["kind"])
            except (UserError, KeyError, FileNotFoundError, ValueError):  # ValueError: no seed yet
                ours = "not run"
            found[row["figure"]] = {
                "ours": ours,
                "source": row["source"],
                "protocol": row["protocol"],
            }
    return found


def _figure(workdir: pathlib.Path, path: str, kind: str) -> str:
    found: Any = read_results(workdir)
    for part in path.split("/"):
        found = found[part]
    if kind == "interval":
        return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
    if kind == "percent":
        return f"{100 * found:.1f} %"
    if kind == "passed":
        return f"{100 * (1 - found):.2f} %"
    return f"{found:.{kind.removeprefix('number ')}f}"


def _gain(workdir: pathlib.Path, path: str, kind: str) -> str:
    del kind
    cells, measure = path.rsplit("/", 1)
    with (workdir / "ablation.csv").open(newline="", encoding="utf-8") as stream:
        values = {row["cell"]: row[measure] for row in csv.DictReader(stream)}
    before, after = (
        {
            name.rpartition("=")[2]: float(value)
            for name, value in values.items()
            if value and own(name)
        }
        for own in (
            lambda name, cell=cell: name.startswith(f"{cell},seed=") for cell in cells.split(">")
        )
    )
    found = over_seeds(np.array([after[seed] - before[seed] for seed in before]))
    ends = f" [{found['low']:+.3f}, {found['high']:+.3f}]" if "low" in found else ""
    return f"{found['mean']:+.3f}{ends}"
