"""The figure of a factor: one measure at each of its levels."""

import numpy as np

from vae_jax.report import drawing
from vae_jax.report.ablation.factor_outcomes import (
    FactorOutcomes,
    average_by_seed,
    summarise_seeds,
)
from vae_jax.report.drawing import Drawing
from vae_jax.report.numerals import format_quantity

_LETTER_WIDTH = 0.09  # inches per letter of the labels below the axis


def draw_levels(factor: FactorOutcomes, measure: str, title: str, unit: str) -> Drawing | None:
    """Draws one point per level and seed, and at each level the mean with its 95 % interval.

    Args:
        factor: factor whose levels are on the horizontal axis, at equal distances.
        measure: name of the measure in `CellOutcome.measures`.
        title: title of the figure.
        unit: unit of the measure, for the vertical axis.

    Returns:
        The figure; None if no cell has the measure.
    """
    values = {level: average_by_seed(factor, level, measure) for level in factor.levels}
    seeds = sorted({seed for by_seed in values.values() for seed in by_seed})
    if not seeds:
        return None
    letters = sum(len(level) + 3 for level in factor.levels)
    figure, axes = drawing.make_panel(max(4.2, _LETTER_WIDTH * letters), 2.8)
    for seed in seeds:
        points = [(i, values[level].get(seed, np.nan)) for i, level in enumerate(factor.levels)]
        label = "one seed" if seed == seeds[0] else None
        axes.plot(*zip(*points, strict=True), "o-", color=drawing.SKY, ms=4, lw=0.9, label=label)
    means = []
    for i, level in enumerate(factor.levels):
        if summary := summarise_seeds(values[level]):
            means.append(f"{level} {format_quantity(summary['mean'])}")
            if len(seeds) > 1:
                half_width = summary["mean"] - summary.get("low", summary["mean"])
                axes.errorbar(
                    i, summary["mean"], half_width, fmt="D", color=drawing.BLUE, ms=5.5, capsize=4,
                    lw=1.6, label="mean, 95 % interval" if len(means) == 1 else None, zorder=3,
                )  # fmt: skip
    axes.set_title(title)
    axes.set_ylabel(unit)
    axes.set_xlabel(f"{factor.field}, base {factor.base}")
    axes.set_xlim(-0.5, len(factor.levels) - 0.5)
    axes.set_xticks(range(len(factor.levels)), factor.levels)
    axes.grid(axis="x", visible=False)
    if len(seeds) > 1:
        axes.legend(loc="best")
    return Drawing(
        f"ablation_{factor.field}_{measure}",
        drawing.encode_figure(figure),
        f"{title} at each level of {factor.field}. Lines join the points of one seed, whose cells share "
        "their split of the data.",
        f"{title} at each level of {factor.field}: mean {', '.join(means)}.",
    )
