"""The figure of a factor: one measure over its levels."""

import numpy as np

from vae_jax.report import drawing
from vae_jax.report.ablation.cell_measures import Factor, by_seed, summary
from vae_jax.report.drawing import Drawing
from vae_jax.report.numerals import format_quantity

_LETTER = 0.09  # inches that a letter under the axis takes


def over_levels(factor: Factor, measure: str, title: str, unit: str) -> Drawing | None:
    """Returns a point a seed, their mean and its 95 % interval at each level; None without a point.

    Args:
        factor: whose levels stand on the horizontal axis, evenly.
        measure: of the cells.
        title: of the measure.
        unit: of the measure, for the vertical axis.
    """
    values = {level: by_seed(factor, level, measure) for level in factor.levels}
    seeds = sorted({seed for found in values.values() for seed in found})
    if not seeds:
        return None
    letters = sum(len(level) + 3 for level in factor.levels)
    figure, axes = drawing.make_panel(max(4.2, _LETTER * letters), 2.8)
    for seed in seeds:
        points = [(i, values[level].get(seed, np.nan)) for i, level in enumerate(factor.levels)]
        label = "a seed" if seed == seeds[0] else None
        axes.plot(*zip(*points, strict=True), "o-", color=drawing.SKY, ms=4, lw=0.9, label=label)
    means = []
    for i, level in enumerate(factor.levels):
        if found := summary(values[level]):
            means.append(f"{level} {format_quantity(found['mean'])}")
            if len(seeds) > 1:
                reach = found["mean"] - found.get("low", found["mean"])
                axes.errorbar(
                    i, found["mean"], reach, fmt="D", color=drawing.BLUE, ms=5.5, capsize=4, lw=1.6,
                    label="mean, 95 % interval" if len(means) == 1 else None, zorder=3,
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
        drawing.encode_png(figure),
        f"{title} over {factor.field}. Points of one seed are joined: they share their split of the "
        "data.",
        f"{title} at each level of {factor.field}: mean {', '.join(means)}.",
    )
