"""The outcome of each cell of an ablation, with the numbers that an ablation compares, and its CSV file."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.comparison.paired import Difference
from vae_jax.comparison.stored_run import StoredRun
from vae_jax.runtime.printable import escape_cell

# Columns of `ablation.csv` for the AUROC of a cell minus that of the base with the same seed.
_DIFFERENCE_COLUMNS = tuple(f"auroc_minus_base{end}" for end in ("", ".low", ".high", ".p_holm"))


@dataclasses.dataclass(frozen=True)
class CellOutcome:
    """The outcome of one cell.

    Attributes:
        name: name of the cell's folder.
        levels: field -> level as text, for every factor.
        seed: seed of the cell's run.
        status: "done", "crashed" or "waiting".
        error: the error of a crashed cell, in one line; otherwise "".
        decision: name of the score that decides; "" unless the cell is done.
        measures: name -> number; empty unless the cell is done.
        run: the cell as a run that can be compared with others; None unless it is done and has an AUROC.
    """

    name: str
    levels: dict[str, str]
    seed: int
    status: str
    error: str = ""
    decision: str = ""
    measures: dict[str, float | int] = dataclasses.field(default_factory=dict)
    run: StoredRun | None = None


def pick_measures(results: Mapping[str, Any]) -> dict[str, float | int]:
    """Returns the numbers that an ablation compares, under flat names.

    `auroc` belongs to the score that decides, `auroc.NAME` to the score NAME, and `auroc.baseline.NAME` to
    the baseline NAME. `.low` and `.high` are appended for the ends of the 95 % interval over test images.
    Measures of anomaly maps and of whole strips keep their path, for example
    `localisation.MAP.pixel_auroc`.

    Args:
        results: content of the cell's `results.json` and `details.json`.
    """
    measures: dict[str, float | int] = {}
    detection = results.get("detection", {})
    rankings = {"auroc": detection.get(results.get("decision", {}).get("score"), {})}
    rankings |= {f"auroc.{name}": entry for name, entry in detection.items()}
    baselines = results.get("baselines", {})
    rankings |= {f"auroc.baseline.{name}": entry for name, entry in baselines.items()}
    for name, entry in rankings.items():
        if auroc := entry.get("auroc"):
            measures[name] = auroc["value"]
            measures |= {f"{name}.{end}": auroc[end] for end in ("low", "high")}
    for kind in ("normal", "anomaly"):
        quality = results.get("reconstruction", {}).get(kind, {})
        measures |= {f"{kind}.{name}": value for name, value in quality.items()}
    likelihood, latent = results.get("likelihood", {}), results.get("latent", {})
    measures |= {name: likelihood[name] for name in ("elbo_nats", "nll_nats") if name in likelihood}
    if "active_units" in latent:
        measures["active_units"] = latent["active_units"]
        measures["kl_nats"] = sum(latent["kl_per_dimension"])
    for section in ("localisation", "strips"):
        measures |= _flatten_numbers(section, results.get(section, {}))
    cost = results.get("cost", {})
    # Peak memory is left out: cells share one process, so each cell would show the largest peak so far.
    names = ("parameters", "train_seconds", "images_per_second")
    return measures | {name: cost[name] for name in names if name in cost}


def format_csv(
    outcomes: Sequence[CellOutcome], differences: Mapping[str, Difference] | None = None
) -> str:
    """Returns the content of `ablation.csv`: one row per cell, with an empty field for a missing measure.

    Args:
        outcomes: outcomes of all cells; at least one.
        differences: name of a cell -> its difference from the base with the same seed.
    """
    differences = differences or {}
    fields = list(outcomes[0].levels)
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.measures))
    text = io.StringIO()
    writer = csv.DictWriter(
        text,
        ["cell", *fields, "seed", "status", "error", "decision", *names, *_DIFFERENCE_COLUMNS],
        lineterminator="\n",
    )
    writer.writeheader()
    for outcome in outcomes:
        writer.writerow(
            {
                "cell": escape_cell(outcome.name),
                **{field: _escape_level(level) for field, level in outcome.levels.items()},
                "seed": outcome.seed,
                "status": outcome.status,
                "error": escape_cell(outcome.error),
                "decision": escape_cell(outcome.decision),
                **outcome.measures,
                **_describe_difference(differences.get(outcome.name)),
            }
        )
    return text.getvalue()


def _describe_difference(difference: Difference | None) -> dict[str, float]:
    if difference is None:
        return {}
    numbers = (difference.value, difference.low, difference.high, difference.p_holm)
    return dict(zip(_DIFFERENCE_COLUMNS, numbers, strict=True))


def _escape_level(level: str) -> str:
    """Returns a level for a cell; a number such as -1 stays a number."""
    try:
        float(level)
    except ValueError:
        return escape_cell(level)
    return level


def _flatten_numbers(path: str, node: Any) -> dict[str, float | int]:
    if not isinstance(node, dict):
        return {path: node} if isinstance(node, int | float) else {}
    if "value" in node:
        return {path: node["value"]} | {f"{path}.{end}": node[end] for end in ("low", "high")}
    return {
        name: value
        for key, child in node.items()
        for name, value in _flatten_numbers(f"{path}.{key}", child).items()
    }
