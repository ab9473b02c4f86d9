"""What became of the cells of an ablation, and what their numbers say about one factor. S seeds."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.metrics.seeds import over_seeds


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one cell.

    Attributes:
        name: of its folder.
        levels: field -> level as text, of every factor.
        seed: of the cell.
        status: "done", "crashed" or "waiting".
        error: what a crashed cell died of, in one line; "" otherwise.
        decision: the score that decides; "" before the cell is done.
        measures: name -> number; empty before the cell is done.
    """

    name: str
    levels: dict[str, str]
    seed: int
    status: str
    error: str = ""
    decision: str = ""
    measures: dict[str, float | int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Factor:
    """A factor as the page shows it.

    Attributes:
        field: of the configuration.
        base: the level that the others are held against.
        levels: in the order of the page: numbers by size, words as they were given.
        outcomes: the cells that tell of this factor: where all others are at their base, or all.
    """

    field: str
    base: str
    levels: list[str]
    outcomes: list[Outcome]


def measures(results: Mapping[str, Any]) -> dict[str, float | int]:
    """Returns the numbers of a cell's results.json that an ablation compares, under flat names.

    `auroc` is that of the score that decides, `auroc.NAME` that of a score, `auroc.baseline.NAME` that
    of a baseline; `.low` and `.high` end their 95 % intervals over the test images. What was measured
    of anomaly maps and of whole strips keeps its path, as `localisation.MAP.pixel_auroc`.
    """
    found: dict[str, float | int] = {}
    detection = results.get("detection", {})
    ranked = {"auroc": detection.get(results.get("decision", {}).get("score"), {})}
    ranked |= {f"auroc.{name}": entry for name, entry in detection.items()}
    baselines = results.get("baselines", {})
    ranked |= {f"auroc.baseline.{name}": entry for name, entry in baselines.items()}
    for name, entry in ranked.items():
        if auroc := entry.get("auroc"):
            found[name] = auroc["value"]
            found |= {f"{name}.{end}": auroc[end] for end in ("low", "high")}
    for kind in ("normal", "anomaly"):
        quality = results.get("reconstruction", {}).get(kind, {})
        found |= {f"{kind}.{name}": value for name, value in quality.items()}
    likelihood, latent = results.get("likelihood", {}), results.get("latent", {})
    found |= {name: likelihood[name] for name in ("elbo_nats", "nll_nats") if name in likelihood}
    if "active_units" in latent:
        found["active_units"] = latent["active_units"]
        found["kl_nats"] = sum(latent["kl_per_dimension"])
    for section in ("localisation", "strips"):
        found |= _flatten(section, results.get(section, {}))
    cost = results.get("cost", {})
    # Not the peak of memory: the cells share a process, so each would show the largest before it.
    names = ("parameters", "train_seconds", "images_per_second")
    return found | {name: cost[name] for name in names if name in cost}


def to_csv(outcomes: Sequence[Outcome]) -> str:
    """Returns a row a cell; a measure that a cell lacks is an empty field."""
    fields = list(outcomes[0].levels)
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.measures))
    text = io.StringIO()
    writer = csv.DictWriter(
        text,
        ["cell", *fields, "seed", "status", "error", "decision", *names],
        lineterminator="\n",
    )
    writer.writeheader()
    for outcome in outcomes:
        own = {"cell": outcome.name, "seed": outcome.seed, "status": outcome.status}
        own |= {"error": outcome.error, "decision": outcome.decision}
        writer.writerow({**outcome.levels, **own, **outcome.measures})
    return text.getvalue()


def factors(
    levels: Mapping[str, Sequence[str]], outcomes: Sequence[Outcome], design: str
) -> list[Factor]:
    """Returns each factor with the cells that tell of it.

    Args:
        levels: field -> its levels as text, the base first.
        outcomes: of every cell.
        design: `ablate.design`.
    """
    bases = {field: texts[0] for field, texts in levels.items()}

    def tells(outcome: Outcome, field: str) -> bool:
        others = ((name, level) for name, level in outcome.levels.items() if name != field)
        return design == "full" or all(level == bases[name] for name, level in others)

    return [
        Factor(
            field,
            bases[field],
            _in_order(texts),
            [outcome for outcome in outcomes if tells(outcome, field)],
        )
        for field, texts in levels.items()
    ]


def by_seed(factor: Factor, level: str, measure: str) -> dict[int, float]:
    """Returns seed -> the measure at one level, averaged over the levels of the other factors.

    A seed counts where each of its cells at this level has the measure: a mean over some of them would
    not compare with that of another level.
    """
    found: dict[int, list[float | None]] = {}
    for outcome in factor.outcomes:
        if outcome.levels[factor.field] == level:
            found.setdefault(outcome.seed, []).append(outcome.measures.get(measure))
    return {seed: float(np.mean(values)) for seed, values in found.items() if None not in values}


def summary(values: Mapping[int, float]) -> dict[str, float | int] | None:
    """Returns mean, spread and t-interval over seeds; None where no seed has the measure."""
    return over_seeds(np.array(list(values.values()))) if values else None


def less_base(factor: Factor, level: str, measure: str) -> dict[str, float | int] | None:
    """Returns the same of the difference from the base, seed by seed.

    Cells of one seed share their split of the data, so this is sharper than two intervals side by side.
    """
    base, other = by_seed(factor, factor.base, measure), by_seed(factor, level, measure)
    return summary({seed: other[seed] - base[seed] for seed in base if seed in other})


def _flatten(path: str, node: Any) -> dict[str, float | int]:
    if not isinstance(node, dict):
        return {path: node} if isinstance(node, int | float) else {}
    if "value" in node:
        return {path: node["value"]} | {f"{path}.{end}": node[end] for end in ("low", "high")}
    return {
        name: value for key in node for name, value in _flatten(f"{path}.{key}", node[key]).items()
    }


def _in_order(texts: Sequence[str]) -> list[str]:
    try:
        return sorted(texts, key=float)
    except ValueError:
        return list(texts)
