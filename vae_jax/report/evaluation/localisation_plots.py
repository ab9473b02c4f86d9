"""Plots of anomaly maps against masks: the curve of PRO, and the overlap with the mask of each image."""

from typing import Any

from vae_jax.metrics.localisation_curves import QUARTILES
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.evaluation.facts import list_map_rows
from vae_jax.report.numerals import format_percent, format_rate

_PRO_LIMIT = 0.3  # the highest false-positive rate that AUPRO includes
_NUM_MAPS = 3  # maps of the model with a curve; each has a colour of its own
_DASHES = ("--", "-.")  # and as many maps of baselines
_NAMED_RATE = 0.01  # false-positive rate of the sentence below the plot


def draw_localisation(results: dict[str, Any], shown_map: str) -> list[Drawing]:
    """Returns the plot of PRO and that of the overlap of images.

    Args:
        results: sections of `results.json` and `details.json`.
        shown_map: name of the map that the page shows, whose overlaps are drawn.

    Returns:
        Two plots; only the first if no map is shown; none without masks.
    """
    curves = results.get("localisation_curves", {})
    if not curves:
        return []
    plots = [_draw_pro(results, curves, shown_map)]
    if shown_map in curves:
        plots.append(_draw_overlaps(curves[shown_map], shown_map))
    return plots


def _draw_pro(
    results: dict[str, Any], curves: dict[str, dict[str, Any]], shown_map: str
) -> Drawing:
    ranked = [row for row in list_map_rows(results) if row[0] in curves]
    maps = [name for name, is_of_baseline, _ in ranked if not is_of_baseline]
    maps.sort(key=lambda name: name != shown_map)
    baselines = [name for name, is_of_baseline, _ in ranked if is_of_baseline]
    styles = {
        name: {"color": colour}
        for name, colour in zip(maps[:_NUM_MAPS], drawing.CYCLE, strict=False)
    } | {
        name: {"color": drawing.GREY, "linestyle": dash, "linewidth": 1.2}
        for name, dash in zip(baselines, _DASHES, strict=False)
    }
    legend_rows = len(styles) + 1  # names are too long for two columns
    figure, axes = drawing.make_panel(4.2, 3.0, legend_rows)
    axes.plot(
        [0, 1], [0, 1], color=drawing.GREY, linewidth=1, linestyle=":", label="chance (0.150)"
    )
    for name, style in styles.items():
        area = format_rate(results["localisation"][name]["aupro"])
        curve = curves[name]
        axes.plot([0, *curve["fpr"]], [0, *curve["pro"]], **style, label=f"{name} ({area})")
    axes.set(xlim=(0, _PRO_LIMIT), ylim=(-0.01, 1.02))
    axes.set(
        xlabel="share of normal pixels that is marked", ylabel="share of a region that is found"
    )
    axes.set_title("Regions found", pad=8 + 14 * legend_rows)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderpad=0.2)
    areas = ", ".join(
        f"{name} {format_rate(results['localisation'][name]['aupro'])}" for name in styles
    )
    return Drawing(
        "pro",
        drawing.encode_figure(figure),
        "The share of an abnormal region that is found, as a mean over regions (PRO), against the share of "
        "normal pixels that is marked by mistake. The legend shows AUPRO, the area under the curve up to "
        f"{_PRO_LIMIT:g}, divided by {_PRO_LIMIT:g}. Grey dashed curves are baselines.",
        f"Curves of PRO. AUPRO: {areas}.",
    )


def _draw_overlaps(curves: dict[str, Any], name: str) -> Drawing:
    rates, overlap = curves["fpr"], curves["overlap"]
    low, median, high = (overlap[quartile] for quartile in QUARTILES)
    figure, axes = drawing.make_panel(4.2, 3.0, legend_rows=3)
    label = f"middle half of {curves['images']:,} images"
    axes.fill_between(rates, low, high, color=drawing.BLUE, alpha=0.25, linewidth=0, label=label)
    axes.plot(rates, median, color=drawing.BLUE, label="median")
    axes.plot(rates, rates, color=drawing.GREY, linewidth=1, linestyle=":", label="chance")
    axes.set_xscale("log")
    axes.set(xlim=(rates[0], 1), ylim=(-0.01, 1.02))
    axes.set(
        xlabel="share of normal pixels that is marked", ylabel="share of the mask that is found"
    )
    axes.set_title(f"Each image by itself: {name}", pad=8 + 14 * 3)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), borderpad=0.2)
    point = min(range(len(rates)), key=lambda i: abs(rates[i] - _NAMED_RATE))
    sentence = (
        f"If {format_percent(_NAMED_RATE)} of the normal pixels are marked, half of the abnormal images "
        f"have more than {format_percent(median[point])} of their mask found, and a quarter more than "
        f"{format_percent(high[point])}."
    )
    return Drawing(
        "overlap",
        drawing.encode_figure(figure),
        "The share of its mask that is found in each abnormal image: the median, and the half of the "
        f"images around it. {sentence}",
        f"Overlap of the map {name} with the mask of each image. {sentence}",
    )
