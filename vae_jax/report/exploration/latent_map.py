"""Maps of test images: as a figure, and as data for the interactive map of the page.

N images, H W image, C channels.
"""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float32, UInt8
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from PIL import Image

from vae_jax.data.shrink import shrink_images
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.images import make_mosaic, to_rgb

_MAX_THUMBNAIL = 48  # longest side of a thumbnail, pixels; keeps the page small
_MAX_LOSSLESS = 32  # thumbnails up to this height are encoded as PNG, larger ones as JPEG
_SPRITE_COLUMNS = 25  # pairs of image and reconstruction in a row of the sprite
_SIDE = 3.6  # side of a map in the figure, inches
_SPACE = 0.25  # space between two maps, inches
_TOP = 0.6  # space above the maps for title and headings, inches


@dataclasses.dataclass(frozen=True)
class MappedImages:
    """Test images and their places on one or more maps.

    Attributes:
        maps: heading and coordinates of each map.
        classes: class of each image.
        abnormal: whether each image is an anomaly.
    """

    maps: Sequence[tuple[str, Float[np.ndarray, "N 2"]]]
    classes: Sequence[str]
    abnormal: Sequence[bool]

    def list_classes(self) -> list[tuple[str, bool]]:
        """Returns each class together with whether it is abnormal, normal classes first."""
        classes = set(zip(self.classes, self.abnormal, strict=True))
        return sorted(classes, key=lambda entry: (entry[1], entry[0]))


@dataclasses.dataclass(frozen=True)
class InteractiveMap:
    """Data of the interactive map.

    Attributes:
        data: values for the script of the page: `views` (heading of a map -> x and y of each point, both in
            [0, 1]), `classes` (name, colour, whether abnormal), `class_of` (class index of each point),
            `text` (lines about each point), `thumbnail` (width and height in pixels), and `columns` (pairs
            in a row of the sprite).
        count: number of points.
        encoding: encoding of the sprite, "png" or "jpeg".
        sprite: one large image that contains each test image beside its reconstruction, in the order of
            the points.
    """

    data: dict
    count: int
    encoding: str
    sprite: bytes


def choose_class_colours(num_classes: int) -> list[str]:
    """Returns one colour per class, as distinguishable as this number of colours can be."""
    if num_classes <= len(drawing.CYCLE):
        return list(drawing.CYCLE[:num_classes])
    for name, size in (("tab10", 10), ("tab20", 20)):
        if num_classes <= size:
            return [to_hex(colour) for colour in colormaps[name].colors[:num_classes]]
    return [to_hex(colour) for colour in colormaps["turbo"](np.linspace(0, 1, num_classes))]


def draw_maps(name: str, title: str, mapped: MappedImages, caption: str) -> Drawing:
    """Returns a figure of the maps side by side, coloured by class, with crosses for anomalies.

    Args:
        name: file name without its ending.
        title: title of the figure.
        mapped: the images and their places.
        caption: text that explains how to read the figure.
    """
    classes, maps = mapped.list_classes(), mapped.maps
    legend_width = 0.55 + 0.075 * max(len(f"{name} (00,000)") for name, _ in classes)
    height = max(_SIDE + 0.75, 0.75 + 0.17 * len(classes))
    width = max(len(maps) * (_SIDE + _SPACE) + legend_width, 0.3 + 0.085 * len(title))
    figure = drawing.Figure(figsize=(width, height), dpi=drawing.DPI)
    width, height = figure.get_size_inches()
    figure.text(0.15 / width, 1 - 0.2 / height, title, weight="bold", size=9.5, va="center")
    for i, (heading, places) in enumerate(maps):
        axes = figure.add_axes(
            ((0.15 + i * (_SIDE + _SPACE)) / width, (height - _TOP - _SIDE) / height,
             _SIDE / width, _SIDE / height)
        )  # fmt: skip
        _draw_points(axes, places, mapped)
        axes.set_title(heading, weight="normal", size=8.5, pad=5)
        axes.spines[:].set_visible(True)
        # The coordinates of t-SNE have no unit, and only the directions of the other maps matter.
        axes.set_xticks([])
        axes.set_yticks([])
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", markerscale=2, handletextpad=0.2, borderaxespad=0,
        bbox_to_anchor=((0.05 + len(maps) * (_SIDE + _SPACE)) / width, (height - _TOP) / height),
    )  # fmt: skip
    headings = ", ".join(heading for heading, _ in maps)
    return Drawing(name, drawing.encode_figure(figure), caption, f"{title}; maps: {headings}.")


def _draw_points(axes: Axes, places: Float[np.ndarray, "N 2"], mapped: MappedImages) -> None:
    classes, abnormal = np.array(mapped.classes), np.array(mapped.abnormal)
    ordered = mapped.list_classes()
    for (name, anomaly), colour in zip(ordered, choose_class_colours(len(ordered)), strict=True):
        in_class = (classes == name) & (abnormal == anomaly)
        style = {"marker": "x", "linewidths": 0.7} if anomaly else {"marker": "o", "linewidths": 0}
        axes.scatter(
            *places[in_class].T, s=7, color=colour, alpha=0.75,
            label=drawing.make_legend_label(f"{name} ({in_class.sum():,})"), **style,
        )  # fmt: skip


def make_interactive_map(
    mapped: MappedImages,
    texts: Sequence[Sequence[str]],
    images: Float32[np.ndarray, "N H W C"],
    reconstructions: Float32[np.ndarray, "N H W C"],
) -> InteractiveMap:
    """Returns the data of the interactive map.

    Args:
        mapped: the images and their places.
        texts: lines about each image.
        images: images in [0, 1].
        reconstructions: reconstruction of each image, in [0, 1].
    """
    ordered = mapped.list_classes()
    index_of = {key: index for index, key in enumerate(ordered)}
    pairs = np.concatenate(
        [shrink_images(images, _MAX_THUMBNAIL), shrink_images(reconstructions, _MAX_THUMBNAIL)],
        axis=2,
    )
    encoding = "png" if pairs.shape[1] <= _MAX_LOSSLESS else "jpeg"
    data = {
        "views": {heading: _scale_to_unit(places) for heading, places in mapped.maps},
        "classes": [
            [name, colour, anomaly]
            for (name, anomaly), colour in zip(
                ordered, choose_class_colours(len(ordered)), strict=True
            )
        ],
        "class_of": [index_of[key] for key in zip(mapped.classes, mapped.abnormal, strict=True)],
        "text": [list(lines) for lines in texts],
        "thumbnail": [pairs.shape[2] // 2, pairs.shape[1]],
        "columns": _SPRITE_COLUMNS,
    }
    sprite = _encode_sprite(
        make_mosaic(to_rgb(pairs), _SPRITE_COLUMNS, gap=0), images.shape[3], encoding
    )
    return InteractiveMap(data, len(images), encoding, sprite)


def _encode_sprite(sheet: UInt8[np.ndarray, "R S 3"], channels: int, encoding: str) -> bytes:
    image = Image.fromarray(sheet)
    if channels == 1:
        image = image.convert("L")
    stream = io.BytesIO()
    if encoding == "png":
        image.save(stream, "PNG", optimize=True)
    else:
        image.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def _scale_to_unit(places: Float[np.ndarray, "N 2"]) -> list[list[float]]:
    """Returns x and y in [0, 1], with the same scale for both; y grows downwards as on a screen."""
    low, high = places.min(axis=0), places.max(axis=0)
    scale = float((high - low).max()) or 1.0
    x, y = ((places - (low + high) / 2) / scale + 0.5).T
    return [np.round(x, 4).tolist(), np.round(1 - y, 4).tolist()]
