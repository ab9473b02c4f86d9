"""The section about one factor on the page of an ablation: its tables, as text, and its figures."""

import dataclasses
import math
from collections.abc import Mapping

from vae_jax.report.ablation.factor_outcomes import (
    FactorOutcomes,
    average_by_seed,
    compare_with_base,
    summarise_seeds,
)
from vae_jax.report.ablation.level_plots import draw_levels
from vae_jax.report.drawing import Drawing


@dataclasses.dataclass(frozen=True)
class SeedSummary:
    """A measure over seeds as text: "mean ± standard deviation", and its interval; "" for one seed."""

    mean: str
    interval: str


@dataclasses.dataclass(frozen=True)
class LevelRow:
    """A row of the main table of a factor.

    Attributes:
        name: the level.
        is_base: whether it is the base of the factor.
        num_seeds: number of seeds that are averaged.
        summaries: one summary per column; None where the measure is missing.
    """

    name: str
    is_base: bool
    num_seeds: int
    summaries: list[SeedSummary | None]


@dataclasses.dataclass(frozen=True)
class MeasureRow:
    """A row of a table whose columns are the levels of a factor.

    Attributes:
        name: name of the score, the baseline or the measure.
        is_baseline: whether it is a baseline score.
        summaries: one summary per level; None where the measure is missing.
    """

    name: str
    is_baseline: bool
    summaries: list[SeedSummary | None]


@dataclasses.dataclass(frozen=True)
class FactorSection:
    """The section of the page about one factor.

    Attributes:
        field: name of the config field that the factor varies.
        headings: headings of the columns of the main table.
        levels: rows of the main table.
        scores: rows of the table with the AUROC of every score.
        other_tables: title and rows of each table about anomaly maps or strips.
        figures: figures of the main measures.
    """

    field: str
    headings: list[str]
    levels: list[LevelRow]
    scores: list[MeasureRow]
    other_tables: list[tuple[str, list[MeasureRow]]]
    figures: list[Drawing]


@dataclasses.dataclass(frozen=True)
class Column:
    """How the main table shows a measure.

    Attributes:
        heading: heading of the column.
        decimals: number of decimals; None for as many as give the mean three significant digits.
    """

    heading: str
    decimals: int | None


_COLUMNS = {
    "auroc": Column("AUROC", 3),
    "normal.mse": Column("MSE, normals", None),
    "anomaly.mse": Column("MSE, anomalies", None),
    "normal.psnr": Column("PSNR, normals, dB", 2),
    "normal.ssim": Column("SSIM, normals", 3),
    "elbo_nats": Column("ELBO, nats", 1),
    "kl_nats": Column("KL, nats", 1),
    "active_units": Column("active units", 1),
    "train_seconds": Column("training, s", 1),
}
# Measure -> title and unit of its figure.
_FIGURES = {
    "auroc": ("AUROC", ""),
    "normal.mse": ("Reconstruction of normal test images", "mean squared error"),
}
# Prefix of measures -> title of the table that shows them.
_OTHER_TABLES = {
    "localisation.": "Anomaly maps compared with masks",
    "strips.": "Whole strips, their tiles and their pixels",
}
# Of the measures of maps and strips, only those with these endings are shown.
_RANKING_SUFFIXES = (".auroc", ".pixel_auroc", ".aupro")


def make_section(factor: FactorOutcomes, deciding_score: str) -> FactorSection:
    """Returns the tables and figures of one factor.

    Args:
        factor: the factor with its cells.
        deciding_score: name of the score that decides, for headings.
    """
    measures = {name for outcome in factor.outcomes for name in outcome.measures}
    columns = {name: column for name, column in _COLUMNS.items() if name in measures}
    headings = [column.heading for column in columns.values()]
    if "auroc" in columns:
        headings[:1] = [f"AUROC of {deciding_score}", "difference from base"]
    figures = [
        draw_levels(
            factor, name, f"{title} of {deciding_score}" if name == "auroc" else title, unit
        )
        for name, (title, unit) in _FIGURES.items()
    ]
    return FactorSection(
        field=factor.field,
        headings=headings,
        levels=[_make_level_row(factor, level, columns) for level in factor.levels],
        scores=_make_score_rows(factor, measures),
        other_tables=_make_other_tables(factor, measures),
        figures=[figure for figure in figures if figure],
    )


def _make_level_row(factor: FactorOutcomes, level: str, columns: Mapping[str, Column]) -> LevelRow:
    is_base = level == factor.base
    summaries = []
    for name, column in columns.items():
        values = average_by_seed(factor, level, name)
        summaries.append(_format_summary(summarise_seeds(values), column.decimals))
        if name == "auroc":
            difference = None if is_base else compare_with_base(factor, level, name)
            summaries.append(_format_summary(difference, column.decimals, sign="+"))
    # Every finished cell has a number of parameters.
    seeds = average_by_seed(factor, level, "parameters")
    return LevelRow(level, is_base, len(seeds), summaries)


def _make_score_rows(factor: FactorOutcomes, measures: set[str]) -> list[MeasureRow]:
    """Returns the AUROC of each score at each level, the highest mean at the base first."""
    names = _select_values("auroc.", measures)
    at_base = {name: summarise_seeds(average_by_seed(factor, factor.base, name)) for name in names}
    names.sort(key=lambda name: -at_base[name]["mean"] if at_base[name] else 1.0)
    return [
        MeasureRow(
            name.removeprefix("auroc.").removeprefix("baseline."),
            name.startswith("auroc.baseline."),
            _summarise_levels(factor, name),
        )
        for name in names
    ]


def _make_other_tables(
    factor: FactorOutcomes, measures: set[str]
) -> list[tuple[str, list[MeasureRow]]]:
    tables = []
    for prefix, title in _OTHER_TABLES.items():
        names = [n for n in _select_values(prefix, measures) if n.endswith(_RANKING_SUFFIXES)]
        if names:
            rows = [
                MeasureRow(_describe_measure(name), False, _summarise_levels(factor, name))
                for name in names
            ]
            tables.append((title, rows))
    return tables


def _select_values(prefix: str, measures: set[str]) -> list[str]:
    """Returns the sorted names with this prefix that are not an end of an interval."""
    ends = (".low", ".high")
    return sorted(name for name in measures if name.startswith(prefix) and not name.endswith(ends))


def _describe_measure(name: str) -> str:
    return ", ".join(name.split(".")[1:]).replace("_", " ")


def _summarise_levels(factor: FactorOutcomes, measure: str) -> list[SeedSummary | None]:
    """Returns the summary of a rate at each level."""
    values = (average_by_seed(factor, level, measure) for level in factor.levels)
    return [_format_summary(summarise_seeds(by_seed), decimals=3) for by_seed in values]


def _format_summary(
    summary: Mapping[str, float | int] | None, decimals: int | None, sign: str = ""
) -> SeedSummary | None:
    """Formats mean, standard deviation and interval with the same number of decimals.

    Args:
        summary: what `summarise_seeds` returns.
        decimals: number of decimals; None for as many as give the mean three significant digits.
        sign: "+" to write a sign before positive numbers, too.
    """
    if summary is None:
        return None
    mean = summary["mean"]
    if decimals is None:
        decimals = 2 - math.floor(math.log10(abs(mean))) if mean else 0
    decimals = max(0, decimals)
    mean_text = f"{mean:{sign},.{decimals}f}"
    if "spread" not in summary:
        return SeedSummary(mean_text, "")
    low, high = (f"{summary[end]:{sign},.{decimals}f}" for end in ("low", "high"))
    return SeedSummary(f"{mean_text} ± {summary['spread']:,.{decimals}f}", f"{low} to {high}")
