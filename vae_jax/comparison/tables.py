"""A comparison as `compare.csv`, one row per run, and as `compare.json`."""

import csv
import io
import json
import os
import pathlib
from typing import Any

from vae_jax.comparison.best_baseline import BestBaseline
from vae_jax.comparison.comparison import Comparison
from vae_jax.comparison.over_datasets import DatasetRanking
from vae_jax.comparison.settings import Setting
from vae_jax.comparison.stored_run import StoredRun
from vae_jax.runtime.printable import escape_cell

COSTS = ("parameters", "train_seconds", "images_per_second", "peak_memory_bytes")


def find_path(run: StoredRun, folder: pathlib.Path) -> str:
    """Returns the path of a run relative to the folder of the comparison, with slashes."""
    return pathlib.Path(os.path.relpath(run.workdir, folder)).as_posix()


def format_csv(comparison: Comparison, folder: pathlib.Path) -> str:
    """Returns the content of `compare.csv`; a cell is empty where a value does not apply.

    Args:
        comparison: the comparison; it contains at least one run.
        folder: folder of the file, which the paths of the runs are relative to.
    """
    rows = []
    shared = comparison.scores.competitors
    for (setting, run), baseline in zip(comparison.list_runs(), comparison.baselines, strict=True):
        row = describe_run(setting, run, baseline, folder)
        auroc, best = row.pop("auroc"), row.pop("best_baseline", {})
        row |= {"auroc": auroc["value"], "auroc.low": auroc["low"], "auroc.high": auroc["high"]}
        row |= {f"best_baseline.{key}": value for key, value in best.items()}
        row |= row.pop("cost")
        aurocs = run.list_aurocs()
        rows.append(row | {f"auroc.{name}": aurocs[name]["value"] for name in shared})
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {k: escape_cell(v) if isinstance(v, str) else v for k, v in row.items()}
        writer.writerow(cells)
    return text.getvalue()


def format_json(comparison: Comparison, folder: pathlib.Path) -> str:
    """Returns the content of `compare.json`, in which a run is named by its path relative to `folder`."""
    runs = [
        describe_run(setting, run, baseline, folder)
        for (setting, run), baseline in zip(
            comparison.list_runs(), comparison.baselines, strict=True
        )
    ]
    content = {
        "cautions": comparison.cautions,
        "runs": runs,
        "settings": [
            {
                "label": setting.label,
                "dataset": setting.dataset,
                "score": setting.deciding,
                "seeds": [run.seed for run in setting.runs],
                "auroc": setting.summarise_auroc(),
            }
            for setting in comparison.settings
        ],
        "differences": [
            {
                "first": find_path(difference.first, folder),
                "second": find_path(difference.second, folder),
                **{
                    key: getattr(difference, key)
                    for key in ("value", "low", "high", "p_value", "p_holm")
                },
            }
            for difference in comparison.differences
        ],
        "differences_over_seeds": [
            {"first": entry.first.label, "second": entry.second.label, **entry.summary}
            for entry in comparison.seed_differences
        ],
        "methods": _describe_ranking(comparison.methods),
        "scores": _describe_ranking(comparison.scores),
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def describe_run(
    setting: Setting, run: StoredRun, baseline: BestBaseline | None, folder: pathlib.Path
) -> dict[str, Any]:
    """Returns the entry of a run in `compare.json`."""
    entry = run.results["detection"][run.deciding]
    described = {
        "workdir": find_path(run, folder),
        "setting": setting.label,
        "dataset": setting.dataset,
        "fingerprint": run.fingerprint,
        "test_set": run.test_set,
        "seed": run.seed,
        "score": run.deciding,
        "auroc": run.auroc,
    }
    for name in ("auprc", "fpr95"):
        if name in entry:
            described[name] = entry[name]["value"]
    if baseline is not None:
        described["best_baseline"] = {
            "name": baseline.name,
            "auroc": baseline.value,
            "low": baseline.low,
            "high": baseline.high,
            "reversed": baseline.is_reversed,
            "run_is": baseline.verdict,
        }
        if baseline.p_holm is not None:
            described["best_baseline"]["p_holm"] = baseline.p_holm
    cost = run.results["cost"]
    return described | {"cost": {name: cost[name] for name in COSTS if name in cost}}


def _describe_ranking(ranking: DatasetRanking) -> dict[str, Any]:
    described: dict[str, Any] = {
        "datasets": ranking.datasets,
        "aurocs": {
            competitor: ranking.aurocs[:, k].tolist()
            for k, competitor in enumerate(ranking.competitors)
        },
        "left_out": ranking.left_out,
    }
    if ranking.problem:
        described["problem"] = ranking.problem
    if ranking.ranks is not None:
        ranks = ranking.ranks
        described |= {
            "average_ranks": dict(zip(ranking.competitors, ranks.average.tolist(), strict=True)),
            "friedman": {"statistic": ranks.statistic, "p_value": ranks.p_value},
            "critical_difference": ranks.critical_difference,
        }
    return described
