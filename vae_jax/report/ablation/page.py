"""The page of an ablation: every factor's levels side by side, one self-contained file."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence

import matplotlib
import ml_collections

from vae_jax import workdir as workdir_lib
from vae_jax.report import drawing, html, reproduce
from vae_jax.report.ablation import cell_measures, level_plots
from vae_jax.report.ablation.cell_measures import Factor, Outcome
from vae_jax.report.ablation.reconstructions import Strips
from vae_jax.report.drawing import Drawing


@dataclasses.dataclass(frozen=True)
class Entry:
    """A number over seeds, ready to read; `interval` is "" for a single seed."""

    mean: str
    interval: str


@dataclasses.dataclass(frozen=True)
class Level:
    """A row of a factor's table: a level, how many seeds stand behind it, and an entry a column."""

    name: str
    is_base: bool
    num_seeds: int
    entries: list[Entry | None]


@dataclasses.dataclass(frozen=True)
class Part:
    """What the page says about one factor.

    Attributes:
        field: of the configuration.
        heads: of the columns of `levels`.
        levels: the main table.
        scores: name of a score, whether it is a baseline, and its AUROC at each level.
        places: title of a table, and its rows: what was measured of maps and strips, at each level.
        figures: of the measures that decide.
    """

    field: str
    heads: list[str]
    levels: list[Level]
    scores: list[tuple[str, bool, list[Entry | None]]]
    places: list[tuple[str, list[tuple[str, list[Entry | None]]]]]
    figures: list[Drawing]


@dataclasses.dataclass(frozen=True)
class Column:
    """How a measure is shown: its head, and its decimals; None for three digits of the mean."""

    head: str
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
    "normal.mse": ("Reconstruction of test normals", "mean squared error"),
}
# Section of results.json -> the title of its table, and which of its numbers stand there.
_PLACES = {
    "localisation.": "Anomaly maps against masks",
    "strips.": "Whole strips, their tiles and pixels",
}
_RANKINGS = (".auroc", ".pixel_auroc", ".aupro")
_STATUSES = ("done", "crashed", "waiting")


def write(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    levels: Mapping[str, Sequence[str]],
    outcomes: Sequence[Outcome],
    strips: Sequence[Strips],
) -> pathlib.Path:
    """Writes `ablation.html` and `figures/ablation_*.png`; the same outcomes give the same bytes.

    Args:
        workdir: of the ablation.
        config: of the ablation.
        levels: field -> its levels as text, the base first.
        outcomes: of every cell.
        strips: a setting each.

    Returns:
        The path of the page.
    """
    factors = cell_measures.factors(levels, outcomes, config.ablate.design)
    decision = _decision(outcomes)
    with matplotlib.rc_context(drawing.STYLE):
        parts = [_part(factor, decision) for factor in factors]
    figures = workdir / "figures"
    figures.mkdir(exist_ok=True)
    for figure in (figure for part in parts for figure in part.figures):
        (figures / f"{figure.name}.png").write_bytes(figure.png)
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in _STATUSES}
    page = html.render_template(
        "ablation/page.html.jinja",
        name=config.name,
        parts=parts,
        decision=decision,
        design=config.ablate.design,
        outcomes=outcomes,
        counts=counts,
        num_settings=len({tuple(outcome.levels.values()) for outcome in outcomes}),
        seeds=list(dict.fromkeys(outcome.seed for outcome in outcomes)),
        seconds=sum(outcome.measures.get("train_seconds", 0) for outcome in outcomes),
        strips=strips,
        pixelated=config.data.image_size < 64,
        command=[
            reproduce.make_command(config)[0],
            "--mode=ablate",
            *reproduce.make_command(config)[1:],
        ],
    )
    workdir_lib.write_text(workdir / "ablation.html", page)
    return workdir / "ablation.html"


def _decision(outcomes: Sequence[Outcome]) -> str:
    """The score that decides in the cells; where it differs from cell to cell, no name says it."""
    names = {outcome.decision for outcome in outcomes if outcome.decision}
    return names.pop() if len(names) == 1 else "the deciding score"


def _part(factor: Factor, decision: str) -> Part:
    present = {name for outcome in factor.outcomes for name in outcome.measures}
    columns = {name: column for name, column in _COLUMNS.items() if name in present}
    heads = [column.head for column in columns.values()]
    if "auroc" in columns:
        heads[:1] = [f"AUROC of {decision}", "less base, by seed"]
    figures = [
        level_plots.over_levels(
            factor, name, f"{title} of {decision}" if name == "auroc" else title, unit
        )
        for name, (title, unit) in _FIGURES.items()
    ]
    return Part(
        field=factor.field,
        heads=heads,
        levels=[_level(factor, level, columns) for level in factor.levels],
        scores=_scores(factor, present),
        places=[
            (title, [(_words(name), _entries(factor, name)) for name in names])
            for section, title in _PLACES.items()
            if (names := [n for n in _under(section, present) if n.endswith(_RANKINGS)])
        ],
        figures=[figure for figure in figures if figure],
    )


def _level(factor: Factor, level: str, columns: Mapping[str, Column]) -> Level:
    is_base = level == factor.base
    entries = []
    for name, column in columns.items():
        found = cell_measures.by_seed(factor, level, name)
        entries.append(_entry(cell_measures.summary(found), column.decimals))
        if name == "auroc":
            difference = None if is_base else cell_measures.less_base(factor, level, name)
            entries.append(_entry(difference, column.decimals, sign="+"))
    seeds = cell_measures.by_seed(factor, level, "parameters")  # which every finished cell has
    return Level(level, is_base, len(seeds), entries)


def _scores(factor: Factor, present: set[str]) -> list[tuple[str, bool, list[Entry | None]]]:
    """The AUROC of each score at each level, the highest mean at the base first."""
    names = _under("auroc.", present)
    base = {
        name: cell_measures.summary(cell_measures.by_seed(factor, factor.base, name))
        for name in names
    }
    names.sort(key=lambda name: -base[name]["mean"] if base[name] else 1.0)
    return [
        (
            name.removeprefix("auroc.").removeprefix("baseline."),
            name.startswith("auroc.baseline."),
            _entries(factor, name),
        )
        for name in names
    ]


def _under(prefix: str, present: set[str]) -> list[str]:
    ends = (".low", ".high")
    return sorted(name for name in present if name.startswith(prefix) and not name.endswith(ends))


def _words(measure: str) -> str:
    return ", ".join(measure.split(".")[1:]).replace("_", " ")


def _entries(factor: Factor, measure: str) -> list[Entry | None]:
    """A rate at each level."""
    found = (cell_measures.by_seed(factor, level, measure) for level in factor.levels)
    return [_entry(cell_measures.summary(values), 3) for values in found]


def _entry(
    found: Mapping[str, float | int] | None, decimals: int | None, sign: str = ""
) -> Entry | None:
    """`mean ± spread`, and the interval of the mean, all with the same decimals."""
    if found is None:
        return None
    mean = found["mean"]
    if decimals is None:
        decimals = 2 - math.floor(math.log10(abs(mean))) if mean else 0
    places = max(0, decimals)
    if "spread" not in found:
        return Entry(f"{mean:{sign},.{places}f}", "")
    low, high = (f"{found[end]:{sign},.{places}f}" for end in ("low", "high"))
    return Entry(f"{mean:{sign},.{places}f} ± {found['spread']:,.{places}f}", f"{low} to {high}")
