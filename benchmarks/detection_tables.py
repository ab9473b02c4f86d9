"""The tables of `detection.py`, from the results of finished runs.

A run is the content of results.json and details.json; `runs` is name of a set -> seed -> run. A value is
the mean over the seeds, and the ends of its interval are the means of their ends: the interval says how
uncertain the test images leave the value of one seed. The seeds differ less, which has a table of its own.
"""

import pathlib
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vae_jax.errors import UserError
from vae_jax.score_names import BASELINES
from vae_jax.workdir import read_results

Run = dict[str, Any]
Runs = dict[str, dict[int, Run]]
# (run) -> name of a row -> value with its interval: the keys value, low and high.
Reader = Callable[[Run], dict[str, dict[str, float]]]


def read_runs(folder: pathlib.Path, name: str, seeds: Iterable[int]) -> dict[int, Run]:
    """Returns seed -> run for the finished runs of a set.

    Args:
        folder: folder with the workdirs.
        name: name of the set.
        seeds: seeds of its runs.
    """
    runs = {}
    for seed in seeds:
        try:
            runs[seed] = read_results(folder / f"{name}_seed{seed}")
        except UserError:  # not finished
            continue
    return runs


def format_tables(runs: Runs) -> str:
    """Returns all tables with their headings, in Markdown.

    Args:
        runs: finished runs; a set without any is absent.
    """
    images = {name: found for name, found in runs.items() if not _is_tiled(found)}
    tiles = {name: found for name, found in runs.items() if _is_tiled(found)}
    seeds = "; ".join(
        f"{name}: {', '.join(str(seed) for seed in found)}" for name, found in runs.items()
    )
    tables = [f"Seeds: {seeds or 'no run is finished'}"]
    if images:
        tables += ["AUROC of images", _format_grid(images, read_scores)]
    if tiles:
        tables += [
            "AUROC of tiles with a defect against clean tiles of the same strips",
            _format_grid(tiles, lambda run: read_tiles(run, "clean")),
            "AUROC of tiles with a defect against tiles of rolls",
            _format_grid(tiles, lambda run: read_tiles(run, "rolls")),
        ]
    if runs:
        tables += ["AUROC of the score that decides, seed by seed", _format_seeds(runs)]
    if any("localisation" in run for found in runs.values() for run in found.values()):
        tables += ["Anomaly maps against masks", _format_maps(runs)]
    if runs:
        tables += ["False-alarm rate of the decision", _format_false_alarms(runs)]
        tables += ["Cost, median over the seeds", _format_costs(runs)]
    return "\n\n".join(["", *tables, ""])


def summarise(runs: Runs) -> dict[str, dict]:
    """Returns for each set the mean AUROC of every row of its table, for the last line of the script.

    Args:
        runs: finished runs.
    """
    summary = {}
    for name, found in runs.items():
        first = next(iter(found.values()))
        read = (lambda run: read_tiles(run, "clean")) if _is_tiled(found) else read_scores
        rows = _list_rows({name: found}, read)
        aurocs = {row: _average(found, read, row) for row in rows}
        summary[name] = {
            "seeds": len(found),
            "decides": first["decision"]["score"],
            "auroc": {row: round(value, 4) for row, value in aurocs.items()},
        }
    return summary


def read_scores(run: Run) -> dict[str, dict[str, float]]:
    """Returns the AUROC of every score, then of the baselines that may decide."""
    sections = {"detection": list(run["detection"]), "baselines": BASELINES}
    return {
        name: run[section][name]["auroc"]
        for section, names in sections.items()
        for name in names
        if "auroc" in run[section].get(name, {})
    }


def read_tiles(run: Run, normals: str) -> dict[str, dict[str, float]]:
    """Returns the AUROC of every score of tiles and of every map, whose highest value is a score too.

    Args:
        run: run on tiles.
        normals: what tiles with a defect are compared with: "clean", of the same strips, or "rolls".
    """
    rows = {}
    for section, suffix in (("scores", ""), ("maps", " (map)")):
        for name, entry in run["strips"][section].items():
            ranking = entry.get("patch", {}).get(normals)
            if ranking:
                rows[name + suffix] = ranking["auroc"]
    return rows


def _is_tiled(found: dict[int, Run]) -> bool:
    return any("strips" in run for run in found.values())


def _list_rows(runs: Runs, read: Reader) -> list[str]:
    """Returns the rows of all runs, each once; baselines come last, as in every run."""
    rows = dict.fromkeys(
        row for found in runs.values() for run in found.values() for row in read(run)
    )
    return sorted(rows, key=lambda row: row in BASELINES)


def _average(found: dict[int, Run], read: Reader, row: str) -> float:
    values = [read(run)[row]["value"] for run in found.values() if row in read(run)]
    return statistics.fmean(values)


def _format_cell(found: dict[int, Run], read: Reader, row: str) -> str:
    """Returns the means over the seeds of the value and of the ends of its interval; "" without a value."""
    values = [read(run)[row] for run in found.values() if row in read(run)]
    if not values:
        return ""
    bounded = [value for value in values if "low" in value]
    ends = [statistics.fmean(v[end] for v in bounded) for end in ("low", "high") if bounded]
    interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if ends else ""
    return f"{_average(found, read, row):.3f}{interval}"


def _format_grid(runs: Runs, read: Reader) -> str:
    """Returns a table with a column for each set; the score that decides is bold."""
    lines = []
    for row in _list_rows(runs, read):
        cells = []
        for found in runs.values():
            cell = _format_cell(found, read, row)
            decides = next(iter(found.values()))["decision"]["score"] == row
            cells.append(f"**{cell}**" if cell and decides else cell)
        lines.append([f"`{row}`", *cells])
    return _format_table(["score", *runs], lines)


def _format_seeds(runs: Runs) -> str:
    """Returns a table with the score that decides of every run; of tiles, against the same strips."""
    seeds = sorted({seed for found in runs.values() for seed in found})
    lines = []
    for name, found in runs.items():
        read = (lambda run: read_tiles(run, "clean")) if _is_tiled(found) else read_scores
        score = next(iter(found.values()))["decision"]["score"]
        rows = {seed: read(run).get(score) for seed, run in found.items()}
        cells = [f"{rows[seed]['value']:.3f}" if rows.get(seed) else "" for seed in seeds]
        lines.append([name, f"`{score}`", *cells])
    return _format_table(["set", "score", *(f"seed {seed}" for seed in seeds)], lines)


def _format_maps(runs: Runs) -> str:
    def read(measure: str) -> Reader:
        return lambda run: {
            name: {"value": entry[measure]} | entry.get("intervals", {}).get(measure, {})
            for name, entry in run.get("localisation", {}).items()
            if measure in entry
        }

    readers = [read("pixel_auroc"), read("aupro")]
    lines = [
        [name, f"`{row}`", *(_format_cell(found, reader, row) for reader in readers)]
        for name, found in runs.items()
        for row in _list_rows({name: found}, readers[0])
    ]
    return _format_table(["set", "map", "pixel AUROC", "AUPRO"], lines)


def _format_false_alarms(runs: Runs) -> str:
    def read(run: Run) -> dict[str, dict[str, float]]:
        rate = run["decision"].get("false_alarms")
        return {"achieved": rate} if rate else {}

    lines = []
    for name, found in runs.items():
        decision = next(iter(found.values()))["decision"]
        promised = f"{decision['promised']:.3f}" if "promised" in decision else ""
        lines.append(
            [name, f"`{decision['score']}`", promised, _format_cell(found, read, "achieved")]
        )
    return _format_table(["set", "score that decides", "promised", "achieved"], lines)


def _format_costs(runs: Runs) -> str:
    lines = []
    for name, found in runs.items():

        def median(key: str, found=found) -> float | None:
            values = [run["cost"][key] for run in found.values() if key in run["cost"]]
            return statistics.median(values) if values else None

        seconds, peak, parameters = map(
            median, ("train_seconds", "peak_memory_bytes", "parameters")
        )
        images = next(iter(found.values()))["dataset"]["counts"]["train"]
        lines.append(
            [
                name,
                f"{images:,}",
                "" if seconds is None else f"{seconds:.1f}",
                "" if peak is None else f"{peak / 2**20:,.0f}",
                "" if parameters is None else f"{parameters:,.0f}",
            ]
        )
    heads = ["set", "training images", "seconds of training", "peak memory, MiB", "parameters"]
    return _format_table(heads, lines)


def _format_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
