"""Whole strips beside their anomaly maps, the abnormal region outlined.

H L strip.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.axes import Axes
from scipy import ndimage

from vae_jax.report import drawing
from vae_jax.report import images as report_images
from vae_jax.report.drawing import Drawing
from vae_jax.report.numerals import format_quantity
from vae_jax.scoring.stitching import Strip

# Standard deviations above calibration normals at the top of the colours: one scale for any two strips.
LIMIT = 8.0

_WIDTH = 13.0  # inches
_MARGIN = 6  # pixels between a region and its outline: a defect is often thinner than the line
_NOWHERE = 200  # grey of what no tile covers


def draw(strips: Sequence[Strip]) -> list[Drawing]:
    """Returns a figure of each strip: the image, and below it the map, on one colour scale."""
    return [_draw(f"strip_{number}", strip) for number, strip in enumerate(strips)]


def _draw(name: str, strip: Strip) -> Drawing:
    height, length = strip.mask.shape
    left, right, top, bottom, gap = 0.7, 0.75, 0.36, 0.44, 0.1
    band = (_WIDTH - left - right) * height / length
    total = 2 * band + top + bottom + gap
    figure = drawing.Figure(figsize=(_WIDTH, total), dpi=drawing.DPI)
    across = (left / _WIDTH, 1 - (left + right) / _WIDTH)
    upper = figure.add_axes((across[0], (bottom + band + gap) / total, across[1], band / total))
    lower = figure.add_axes((across[0], bottom / total, across[1], band / total))
    outline = (
        ndimage.binary_dilation(strip.mask > 0, iterations=_MARGIN) if strip.mask.any() else None
    )
    _show(
        upper,
        np.broadcast_to(strip.image, (height, length, 3)),
        "image",
        outline,
        drawing.VERMILION,
    )
    _show(lower, _colours(strip), strip.map_name, outline, drawing.SKY)
    upper.set_xticks([])
    lower.set_xlabel("pixels")
    kind = "with a defect, outlined" if strip.label else "without a defect"
    upper.set_title(f"{strip.file} · {kind} · score {format_quantity(strip.score)}")
    bar = figure.add_axes(
        (1 - 0.6 / _WIDTH, bottom / total, 0.12 / _WIDTH, (2 * band + gap) / total)
    )
    bar.imshow(
        report_images.colour_errors(np.linspace(LIMIT, 0, 256)[:, None], LIMIT),
        aspect="auto",
        extent=(0, 1, 0, LIMIT),
    )
    bar.grid(False)
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.set_yticks([0, LIMIT / 2, LIMIT], ["≤ 0", f"{LIMIT / 2:g}", f"≥ {LIMIT:g}"])
    return Drawing(
        name,
        drawing.encode_png(figure),
        f"{strip.file}, whole, and its map of {strip.map_name}, blended from tiles: standard deviations "
        "above calibration normals. The highest value is the strip's score; grey is covered by no tile.",
        f"Strip of fabric {kind}, and its anomaly map.",
    )


def _show(
    axes: Axes,
    pixels: UInt8[np.ndarray, "H L 3"],
    label: str,
    outline: Bool[np.ndarray, "H L"] | None,
    colour: str,
) -> None:
    axes.imshow(pixels, aspect="auto", interpolation="antialiased")
    if outline is not None:
        axes.contour(outline, levels=[0.5], colors=[colour], linewidths=0.9)
    axes.grid(False)
    axes.set_yticks([(pixels.shape[0] - 1) / 2], [label])
    axes.tick_params(axis="y", length=0)


def _colours(strip: Strip) -> UInt8[np.ndarray, "H L 3"]:
    colours = report_images.colour_errors(strip.values, LIMIT).copy()
    colours[~strip.covered] = _NOWHERE
    return colours


READING = (
    "The tiles without a defect on the defective strips are the honest comparison, since the normal "
    "strips were taken under other conditions. Tiles overlap, so that the intervals of tiles are too "
    "narrow. The main table pools both kinds of normal tiles."
)
# What a table's column holds -> its heading.
COLUMNS = {
    "image": "strips",
    "rolls": "tiles, normal strips",
    "clean": "tiles, same strips",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
}


@dataclasses.dataclass(frozen=True)
class StripLine:
    """One score, or one map, with `value` and, where there is an interval, `low` and `high`, by column."""

    name: str
    measures: dict[str, dict[str, float]]


def strip_lines(results: dict[str, Any]) -> list[StripLine]:
    """Returns the scores, then the maps, in the order they were selected; none without strips."""
    strips = results.get("strips", {})
    scores = [StripLine(name, _measures(e)) for name, e in strips.get("scores", {}).items()]
    maps = [StripLine(f"{name} map", _measures(e)) for name, e in strips.get("maps", {}).items()]
    return scores + maps


def strip_counts(results: dict[str, Any]) -> str:
    """Returns how many strips and tiles there are of each kind; empty without strips."""
    counts = results.get("strips", {}).get("counts")
    if not counts:
        return ""
    return (
        f"{counts['normal_strips']:,} normal and {counts['anomalous_strips']:,} anomalous strips; tiles: "
        f"{counts['defects']:,} with a defect, {counts['clean']:,} without on the same strips, "
        f"{counts['rolls']:,} on normal strips"
    )


def _measures(entry: dict[str, Any]) -> dict[str, dict[str, float]]:
    ranked = {"image": entry.get("image", {}), **entry.get("patch", {})}
    found = {name: measured["auroc"] for name, measured in ranked.items() if measured}
    pixel = entry.get("pixel", {})
    intervals = pixel.get("intervals", {})
    for name in ("pixel_auroc", "aupro"):
        if name in pixel:
            found[name] = {"value": pixel[name]} | intervals.get(name, {})
    return found
