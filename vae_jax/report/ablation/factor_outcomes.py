"""The effect of one factor of an ablation: a measure at each of its levels, over seeds."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from vae_jax.metrics.seeds import summarise_runs
from vae_jax.report.ablation.cell_outcomes import CellOutcome


@dataclasses.dataclass(frozen=True)
class FactorOutcomes:
    """A factor with the cells that show its effect.

    Attributes:
        field: name of the config field that the factor varies.
        base: the level that the other levels are compared with.
        levels: levels in the order of the page: numbers in ascending order, words in the user's order.
        outcomes: the cells that show the factor's effect: with the design "full" all cells, otherwise the
            cells in which all other factors are at their base.
    """

    field: str
    base: str
    levels: list[str]
    outcomes: list[CellOutcome]


def group_by_factor(
    levels: Mapping[str, Sequence[str]], outcomes: Sequence[CellOutcome], design: str
) -> list[FactorOutcomes]:
    """Returns each factor with the cells that show its effect.

    Args:
        levels: field -> its levels as text, the base first.
        outcomes: outcomes of all cells.
        design: `ablate.design`.
    """
    bases = {field: texts[0] for field, texts in levels.items()}

    def shows_effect(outcome: CellOutcome, field: str) -> bool:
        others = ((name, level) for name, level in outcome.levels.items() if name != field)
        return design == "full" or all(level == bases[name] for name, level in others)

    return [
        FactorOutcomes(
            field,
            bases[field],
            _sort_levels(texts),
            [outcome for outcome in outcomes if shows_effect(outcome, field)],
        )
        for field, texts in levels.items()
    ]


def average_by_seed(factor: FactorOutcomes, level: str, measure: str) -> dict[int, float]:
    """Returns seed -> mean of a measure at one level, over the levels of the other factors.

    A seed is left out if one of its cells at this level lacks the measure: a mean over fewer cells would
    not be comparable with the means at other levels.
    """
    values: dict[int, list[float | None]] = {}
    for outcome in factor.outcomes:
        if outcome.levels[factor.field] == level:
            values.setdefault(outcome.seed, []).append(outcome.measures.get(measure))
    return {
        seed: float(np.mean(numbers)) for seed, numbers in values.items() if None not in numbers
    }


def summarise_seeds(values: Mapping[int, float]) -> dict[str, float | int] | None:
    """Returns mean, standard deviation and 95 % t-interval over seeds; None if no seed has a value.

    Args:
        values: seed -> value of a measure.
    """
    return summarise_runs(np.array(list(values.values()))) if values else None


def compare_with_base(
    factor: FactorOutcomes, level: str, measure: str
) -> dict[str, float | int] | None:
    """Summarises the difference of a measure between a level and the base, taken for each seed.

    Cells of one seed share their split of the data, so this is more precise than a comparison of two
    intervals.

    Returns:
        Mean, standard deviation and 95 % t-interval; None if no seed has the measure at both levels.
    """
    at_base = average_by_seed(factor, factor.base, measure)
    at_level = average_by_seed(factor, level, measure)
    return summarise_seeds(
        {seed: at_level[seed] - at_base[seed] for seed in at_base if seed in at_level}
    )


def _sort_levels(texts: Sequence[str]) -> list[str]:
    try:
        return sorted(texts, key=float)
    except ValueError:
        return list(texts)
