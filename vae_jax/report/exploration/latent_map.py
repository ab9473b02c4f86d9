"""The latent map: as a figure, and as data for the page, where a point is looked at by pointing at it.

N images, H W image, C channels.
"""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32
from matplotlib import colormaps
from matplotlib.colors import to_hex
from PIL import Image

from vae_jax.data.shrink import shrink_images
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.images import make_mosaic, to_rgb

_THUMB = 48  # largest side of an image on the page's map, pixels; keeps the page small
_EXACT = 32  # images up to this side are kept pixel by pixel, larger ones as JPEG
_SPRITE_COLUMNS = 25  # pairs of image and reconstruction


def class_colours(num_classes: int) -> list[str]:
    """Returns colours that are told apart as well as so many can be."""
    if num_classes <= len(drawing.CYCLE):
        return list(drawing.CYCLE[:num_classes])
    for name, size in (("tab10", 10), ("tab20", 20)):
        if num_classes <= size:
            return [to_hex(colour) for colour in colormaps[name].colors[:num_classes]]
    return [to_hex(colour) for colour in colormaps["turbo"](np.linspace(0, 1, num_classes))]


def scatter(
    name: str,
    title: str,
    maps: Sequence[tuple[str, Float[np.ndarray, "N 2"]]],
    classes: Sequence[str],
    abnormal: Sequence[bool],
    caption: str,
) -> Drawing:
    """Returns maps of the same images beside each other, coloured by class; anomalies as crosses.

    Args:
        name: stem of the file.
        title: what is seen and how many.
        maps: heading and places of each map.
        classes: of the N images.
        abnormal: of the N images.
        caption: how to read it.
    """
    names = _ordered(classes, abnormal)
    side, space = 3.6, 0.25
    legend = 0.55 + 0.075 * max(len(f"{name} (00,000)") for name, _ in names)
    height = max(side + 0.75, 0.75 + 0.17 * len(names))
    width = len(maps) * (side + space) + legend
    figure = drawing.Figure(figsize=(max(width, 0.3 + 0.085 * len(title)), height), dpi=drawing.DPI)
    width = figure.get_size_inches()[0]
    figure.text(0.15 / width, 1 - 0.2 / height, title, weight="bold", size=9.5, va="center")
    of_class, colours = np.array(classes), class_colours(len(names))
    flagged = np.array(abnormal)
    for i, (heading, places) in enumerate(maps):
        axes = figure.add_axes(
            ((0.15 + i * (side + space)) / width, (height - 0.6 - side) / height,
             side / width, side / height)
        )  # fmt: skip
        for (class_, anomaly), colour in zip(names, colours, strict=True):
            own = (of_class == class_) & (flagged == anomaly)
            style = (
                {"marker": "x", "linewidths": 0.7} if anomaly else {"marker": "o", "linewidths": 0}
            )
            axes.scatter(
                *places[own].T, s=7, color=colour, alpha=0.75, label=f"{class_} ({own.sum():,})",
                **style,
            )  # fmt: skip
        axes.set_title(heading, weight="normal", size=8.5, pad=5)
        axes.spines[:].set_visible(True)
        # The axes of t-SNE have no unit; those of the others stand for a direction only.
        axes.set_xticks([])
        axes.set_yticks([])
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", markerscale=2, handletextpad=0.2, borderaxespad=0,
        bbox_to_anchor=((0.05 + len(maps) * (side + space)) / width, (height - 0.6) / height),
    )  # fmt: skip
    headings = ", ".join(heading for heading, _ in maps)
    return Drawing(name, drawing.encode_png(figure), caption, f"{title}; maps: {headings}.")


@dataclasses.dataclass(frozen=True)
class PageMap:
    """What the page's map is made of.

    Attributes:
        data: for the script: `views` (name -> x and y, each in [0, 1]), `classes` (name, colour, whether
            anomalies), `of` (class of each point), `text` (lines about each point), `thumb` (width and
            height), `columns` and `sprite`.
        count: of the points.
        kind: of the sprite's encoding, "png" or "jpeg".
        sprite: images and reconstructions in pairs, in the order of the points.
    """

    data: dict
    count: int
    kind: str
    sprite: bytes


def page_map(
    maps: Sequence[tuple[str, Float[np.ndarray, "N 2"]]],
    classes: Sequence[str],
    abnormal: Sequence[bool],
    texts: Sequence[Sequence[str]],
    images: Float32[np.ndarray, "N H W C"],
    reconstructions: Float32[np.ndarray, "N H W C"],
) -> PageMap:
    """Returns the map for the page; arguments as `scatter`'s, and the lines to show about each point."""
    names = _ordered(classes, abnormal)
    number = {name: i for i, name in enumerate(names)}
    pair = np.concatenate(
        [shrink_images(images, _THUMB), shrink_images(reconstructions, _THUMB)], axis=2
    )
    exact = pair.shape[1] <= _EXACT
    sheet = Image.fromarray(make_mosaic(to_rgb(pair), _SPRITE_COLUMNS, gap=0))
    if images.shape[3] == 1:
        sheet = sheet.convert("L")
    stream = io.BytesIO()
    if exact:
        sheet.save(stream, "PNG", optimize=True)
    else:
        sheet.save(stream, "JPEG", quality=85)
    data = {
        "views": {name: _unit(places) for name, places in maps},
        "classes": [
            [name, colour, bool(anomaly)]
            for (name, anomaly), colour in zip(names, class_colours(len(names)), strict=True)
        ],
        "of": [number[key] for key in zip(classes, map(bool, abnormal), strict=True)],
        "text": [list(lines) for lines in texts],
        "thumb": [pair.shape[2] // 2, pair.shape[1]],
        "columns": _SPRITE_COLUMNS,
    }
    kind = "png" if exact else "jpeg"
    return PageMap(data, len(images), kind, stream.getvalue())


def _ordered(classes: Sequence[str], abnormal: Sequence[bool]) -> list[tuple[str, bool]]:
    """Returns each class with whether it is abnormal, normal ones first."""
    pairs = set(zip(classes, map(bool, abnormal), strict=True))
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def _unit(places: Float[np.ndarray, "N 2"]) -> list[list[float]]:
    """Returns x and y in [0, 1], one scale for both, y downwards as a screen has it."""
    low, high = places.min(axis=0), places.max(axis=0)
    scale = float((high - low).max()) or 1.0
    x, y = ((places - (low + high) / 2) / scale + 0.5).T
    return [np.round(x, 4).tolist(), np.round(1 - y, 4).tolist()]
