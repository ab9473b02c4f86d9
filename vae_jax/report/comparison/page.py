"""The page of `--mode=compare`: one self-contained HTML file, which links to the reports of the runs."""

import os
import pathlib
import shlex
import urllib.parse
from collections.abc import Sequence
from typing import Any

import numpy as np

from vae_jax import workdir as workdir_lib
from vae_jax.comparison.comparison import Comparison
from vae_jax.comparison.over_datasets import DatasetRanking
from vae_jax.comparison.settings import Setting
from vae_jax.comparison.stored_run import StoredRun
from vae_jax.report import html, numerals
from vae_jax.report.comparison.rank_diagram import AXIS, GAP, RankDiagram, arrange_diagram
from vae_jax.report.evaluation.page_scripts import TABLE_NAMES, hash_script, read_scripts
from vae_jax.runtime.printable import make_printable


def write_page(
    folder: pathlib.Path, comparison: Comparison, workdirs: Sequence[pathlib.Path]
) -> pathlib.Path:
    """Writes `compare.html`; the same comparison gives the same bytes.

    Args:
        folder: folder of the comparison.
        comparison: what the page shows.
        workdirs: the runs as the user named them, for the command that repeats the comparison.

    Returns:
        The path of the page.
    """
    script = read_scripts(TABLE_NAMES)
    labels = {run.workdir: _label_run(setting, run) for setting, run in comparison.list_runs()}
    page = html.render_template(
        "comparison/page.html.jinja",
        script=script,
        script_digest=hash_script(script),
        runs=_list_rows(comparison, folder),
        settings=[(setting, setting.summarise_auroc()) for setting in comparison.settings],
        comparison=comparison,
        labels=labels,
        num_clear=sum(difference.is_clear for difference in comparison.differences),
        num_datasets=len({setting.dataset for setting in comparison.settings}),
        axis_low=_find_axis(comparison),
        rankings=[
            ("methods", comparison.methods, _draw(comparison.methods)),
            ("scores", comparison.scores, _draw(comparison.scores)),
        ],
        score_rows=_list_score_rows(comparison),
        axis_y=AXIS,
        gap=GAP,
        command=_make_command(folder, workdirs),
        p_value=numerals.format_p_value,
        signed="{:+.3f}".format,
        rate=numerals.format_rate,
        size=numerals.format_size,
    )
    workdir_lib.write_text(folder / "compare.html", page)
    return folder / "compare.html"


def _label_run(setting: Setting, run: StoredRun) -> str:
    """Returns the name of a run for readers."""
    return f"{setting.label}, seed {run.seed}"


def _list_rows(comparison: Comparison, folder: pathlib.Path) -> list[dict[str, Any]]:
    """Returns what the template needs of each run."""
    rows = []
    for (setting, run), baseline in zip(comparison.list_runs(), comparison.baselines, strict=True):
        report = run.workdir / "report.html"
        path = pathlib.Path(os.path.relpath(report, folder)).as_posix()
        rows.append(
            {
                "label": _label_run(setting, run),
                "folder": make_printable(str(run.workdir)),
                "link": urllib.parse.quote(os.fsencode(path)) if report.is_file() else "",
                "setting": setting,
                "run": run,
                "baseline": baseline,
                "counts": run.results["dataset"].get("counts", {}),
                "cost": run.results["cost"],
            }
        )
    return rows


def _find_axis(comparison: Comparison) -> float:
    """Returns where the axis of AUROCs begins: at a multiple of 0.1, at 0.5 or below every interval."""
    lows = [run.auroc["low"] for _, run in comparison.list_runs()]
    lows += [baseline.low for baseline in comparison.baselines if baseline is not None]
    return min(0.5, max(0.0, min(lows) // 0.1 / 10))


def _draw(ranking: DatasetRanking) -> RankDiagram | None:
    if ranking.ranks is None:
        return None
    return arrange_diagram(ranking.competitors, ranking.ranks)


def _list_score_rows(comparison: Comparison) -> list[tuple[str, bool, list[float], float | None]]:
    """Returns each score that all runs share.

    Returns:
        Its name, whether it is a baseline, its mean AUROC over the seeds of each setting, and its average
        rank over datasets, None without ranks.
    """
    scores = comparison.scores
    baselines = {name for _, run in comparison.list_runs() for name in run.list_baselines()}
    aurocs = [[run.list_aurocs() for run in setting.runs] for setting in comparison.settings]
    return [
        (
            name,
            name in baselines,
            [float(np.mean([run[name]["value"] for run in runs])) for runs in aurocs],
            None if scores.ranks is None else float(scores.ranks.average[k]),
        )
        for k, name in enumerate(scores.competitors)
    ]


def _make_command(folder: pathlib.Path, workdirs: Sequence[pathlib.Path]) -> list[str]:
    flags = [f"--workdir={path}" for path in workdirs] + [f"--output={folder}"]
    parts = (shlex.quote(make_printable(flag)) for flag in flags)
    return ["python -m vae_jax.main --mode=compare", *parts]
