"""Whole strips and images with their anomaly maps, and the table of what was measured on strips and tiles.

A strip is a stored image that was cut into tiles, which are judged by themselves. An image is judged as a
whole. H L strip or image, pixels.
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

# Upper end of the colour scale, which all strips share; standard deviations above calibration normals.
LIMIT = 8.0

# Column of the table of strips -> its heading.
STRIP_COLUMNS = {
    "image": "strips",
    "rolls": "tiles, normal strips",
    "clean": "tiles, same strips",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
}
STRIP_CAVEAT = (
    "The fair comparison is with the tiles without a defect on the defective strips, because the normal "
    "strips were photographed under different conditions. Tiles of a strip overlap, so the intervals treat "
    "a strip as one unit. The main table counts both kinds of normal tiles together."
)

_WIDTH = 13.0  # inches
_MARGIN = 6  # pixels between a defect and its outline; a defect is often thinner than the line
_MAX_PANEL = 4.5  # inches; the longest side of a picture that stands beside its map
_MIN_HEIGHT = 0.4  # height as a share of the length from which on the map stands beside the image
_UNCOVERED = 200  # grey value of pixels that no tile covers


def draw_strips(strips: Sequence[Strip]) -> list[Drawing]:
    """Returns one figure per strip: the image and its anomaly map, on one colour scale.

    The map is below the image, or beside it unless the image is much longer than high.
    """
    return [_draw_strip(f"{strip.noun}_{number}", strip) for number, strip in enumerate(strips)]


def _draw_strip(name: str, strip: Strip) -> Drawing:
    figure, upper, lower, scale = _lay_out(*strip.mask.shape)
    outline = (
        ndimage.binary_dilation(strip.mask > 0, iterations=_MARGIN) if strip.mask.any() else None
    )
    image = np.broadcast_to(strip.image, (*strip.mask.shape, 3))
    _show_pixels(upper, image, "image", outline, drawing.VERMILION)
    _show_pixels(lower, _colour_map(strip), "map", outline, drawing.SKY)
    if upper.get_position().x0 == lower.get_position().x0:
        upper.set_xticks([])
        lower.set_xlabel(f"pixels; the map is {strip.map_name}")
    else:
        for axes, label in ((upper, "image"), (lower, strip.map_name)):
            axes.set_yticks([])
            axes.set_xlabel(f"{label}, pixels")
    defect = "with a defect" if outline is None else "with an outlined defect"
    kind = defect if strip.label else "without a defect"
    is_strip = strip.noun == "strip"
    measure = "score" if is_strip else "highest value"
    title = f"{strip.file} · {kind} · {measure} {format_quantity(strip.score)}"
    # Beside its map, an image may be narrower than its title.
    upper.set_title(title, loc="center" if is_strip else "left")
    scale.imshow(
        report_images.colour_errors(np.linspace(LIMIT, 0, 256)[:, None], LIMIT),
        aspect="auto",
        extent=(0, 1, 0, LIMIT),
    )
    scale.grid(False)
    scale.set_xticks([])
    scale.yaxis.tick_right()
    scale.set_yticks([0, LIMIT / 2, LIMIT], ["≤ 0", f"{LIMIT / 2:g}", f"≥ {LIMIT:g}"])
    return Drawing(
        name,
        drawing.encode_figure(figure),
        f"The whole {strip.noun} {strip.file} and its anomaly map by {strip.map_name}, blended from its "
        "tiles, in standard deviations above calibration normals. "
        + ("The highest value of the map is the score of the strip. " if is_strip else "")
        + "Pixels that no tile covers are grey.",
        f"{strip.noun.capitalize()} {kind}, and its anomaly map.",
    )


def _lay_out(height: int, length: int) -> tuple[drawing.Figure, Axes, Axes, Axes]:
    """Returns a figure with axes for the image, for its map and for the scale of the colours."""
    left, right, top, bottom, gap = 0.7, 0.75, 0.36, 0.44, 0.1
    beside = height >= _MIN_HEIGHT * length
    width = _MAX_PANEL * min(1.0, length / height) if beside else _WIDTH - left - right
    row = width * height / length
    h = top + bottom + (row if beside else 2 * row + gap)
    figure = drawing.Figure(figsize=(_WIDTH, h), dpi=drawing.DPI)
    places = [(left, bottom + row + gap), (left, bottom)]
    if beside:
        places = [(left, bottom), (left + width + gap, bottom)]
    upper, lower = (
        figure.add_axes((x / _WIDTH, y / h, width / _WIDTH, row / h)) for x, y in places
    )
    x = places[1][0] + width + right - 0.6
    scale = figure.add_axes((x / _WIDTH, bottom / h, 0.12 / _WIDTH, (h - top - bottom) / h))
    return figure, upper, lower, scale


def _show_pixels(
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


def _colour_map(strip: Strip) -> UInt8[np.ndarray, "H L 3"]:
    colours = report_images.colour_errors(strip.values, LIMIT).copy()
    colours[~strip.covered] = _UNCOVERED
    return colours


@dataclasses.dataclass(frozen=True)
class StripRow:
    """The measures of one score or one anomaly map on strips.

    Attributes:
        name: name of the score or the map.
        measures: column of the table -> `value` and, if the measure has an interval, `low` and `high`.
    """

    name: str
    measures: dict[str, dict[str, float]]


def list_strip_rows(results: dict[str, Any]) -> list[StripRow]:
    """Returns a row per score, then a row per map, in the order of `results.json`; none without strips."""
    strips = results.get("strips", {})
    scores = [
        StripRow(name, _pick_measures(entry)) for name, entry in strips.get("scores", {}).items()
    ]
    maps = [
        StripRow(f"{name} map", _pick_measures(entry))
        for name, entry in strips.get("maps", {}).items()
    ]
    return scores + maps


def describe_strip_counts(results: dict[str, Any]) -> str:
    """Returns the numbers of strips and tiles of each kind as text; an empty text without strips."""
    counts = results.get("strips", {}).get("counts")
    if not counts:
        return ""
    return (
        f"{counts['normal_strips']:,} normal and {counts['anomalous_strips']:,} anomalous strips; "
        f"{counts['defects']:,} tiles with a defect, {counts['clean']:,} tiles without a defect on the "
        f"same strips, {counts['rolls']:,} tiles on normal strips"
    )


def _pick_measures(entry: dict[str, Any]) -> dict[str, dict[str, float]]:
    rankings = {"image": entry.get("image", {}), **entry.get("patch", {})}
    measures = {name: ranking["auroc"] for name, ranking in rankings.items() if ranking}
    pixel = entry.get("pixel", {})
    intervals = pixel.get("intervals", {})
    for name in ("pixel_auroc", "aupro"):
        if name in pixel:
            measures[name] = {"value": pixel[name]} | intervals.get(name, {})
    return measures
