"""Pictures of test images, reconstructions, error maps or anomaly maps, and samples.

The page shows each image as a tile of its own; `figures/` gets one sheet per gallery.

N cases, M samples, H W image, h w smaller image, C channels.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.data.shrink import shrink_images
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.evaluation.cases import Cases
from vae_jax.report.evaluation.mask_outlines import trace_outline
from vae_jax.report.images import (
    ERROR_COLOURS,
    SMALL,
    TILE,
    colour_errors,
    encode_png,
    encode_webp,
    make_mosaic,
    outline_masks,
    to_rgb,
)
from vae_jax.report.numerals import format_quantity

_CASE_SIDE = 256  # pixels; the longest side of a picture of a case, which the page can enlarge
_QUALITY = 88  # of the pictures of cases as WebP
_MIN_SAMPLES_WIDTH = 900  # pixels; a sheet of samples is enlarged to about this width


def list_picture_names(cases: Cases) -> list[str]:
    """Returns what each picture of a case is, from left to right."""
    if cases.reconstructions is None:
        return ["input", "anomaly map"]
    return ["input", "reconstruction", "error map"]


@dataclasses.dataclass(frozen=True)
class CaseTile:
    """One case as the page shows it.

    Attributes:
        pictures: one encoded picture per name of `list_picture_names`, and its format.
        outline: path around what the mask marks, in pixels of the pictures; "" without a mask.
        caption: file, class, score and p-value; it may hold any characters.
        row: row of the image in `scores.csv`; -1 if it is not known.
        size: width and height of the pictures.
    """

    pictures: tuple[tuple[bytes, str], ...]
    outline: str
    caption: str
    row: int
    size: tuple[int, int]


def make_tiles(cases: Cases, error_limit: float) -> list[CaseTile]:
    """Returns each case as the page shows it, no side of a picture longer than 256 pixels.

    Args:
        cases: the cases to show.
        error_limit: error at the upper end of the colour scale, in the unit of the error maps.
    """

    # Errors are averaged before they are coloured: the mean of colours is not the colour of the mean.
    def shrink(values: np.ndarray) -> np.ndarray:
        return shrink_images(values, _CASE_SIDE)

    pictures = _draw_pictures(dataclasses.replace(cases, masks=None), error_limit, shrink)
    outlines = [""] * len(cases.captions)
    if cases.masks is not None and len(cases.masks):
        masks = shrink(cases.masks[..., None].astype(np.float32))[..., 0] > 0
        outlines = [trace_outline(mask) for mask in masks]
    rows = [-1] * len(outlines) if cases.rows is None else cases.rows.tolist()
    height, width = pictures[0].shape[1:3]
    return [
        CaseTile(tuple(map(_encode_picture, case)), outline, caption, row, (width, height))
        for case, outline, caption, row in zip(
            zip(*pictures, strict=True), outlines, cases.captions, rows, strict=True
        )
    ]


def _encode_picture(pixels: UInt8[np.ndarray, "h w 3"]) -> tuple[bytes, str]:
    """Returns a picture and its format: small ones keep every pixel, large ones are compressed."""
    if pixels.shape[0] <= SMALL:
        return encode_png(pixels), "png"
    return encode_webp(pixels, _QUALITY), "webp"


def _draw_pictures(
    cases: Cases, error_limit: float, shrink: Callable[[np.ndarray], np.ndarray]
) -> list[UInt8[np.ndarray, "N h w 3"]]:
    """Returns the pictures of all cases, kind by kind; what a mask marks is outlined.

    Args:
        cases: the cases to show.
        error_limit: error at the upper end of the colour scale.
        shrink: function that makes images [N, H, W, C] smaller.
    """
    images = to_rgb(shrink(cases.images))
    maps = colour_errors(shrink(cases.error_maps[..., None])[..., 0], error_limit)
    if cases.masks is not None and len(cases.masks):
        masks = shrink(cases.masks[..., None].astype(np.float32))[..., 0] > 0
        images = outline_masks(images, masks, drawing.SKY)
        maps = outline_masks(maps, masks, drawing.SKY)
    if cases.reconstructions is None:
        return [images, maps]
    return [images, to_rgb(shrink(cases.reconstructions)), maps]


def draw_samples(images: Float[np.ndarray, "M H W C"], num_classes: int) -> Drawing:
    """Returns one sheet of all samples from the prior; small images are enlarged without interpolation.

    Args:
        images: samples; those of a conditional model are ordered by class in turn.
        num_classes: number of classes of a conditional model, each of which gets a column; otherwise 0.
    """
    columns = min(len(images), num_classes or (16 if len(images) > 32 else 8))
    pixels = to_rgb(shrink_images(images, TILE))
    sheet = make_mosaic(pixels, columns, gap=max(1, pixels.shape[1] // 24))
    scale = max(1, round(_MIN_SAMPLES_WIDTH / sheet.shape[1]))
    sheet = sheet.repeat(scale, 0).repeat(scale, 1)
    return Drawing(
        "samples",
        encode_png(sheet),
        f"{len(images)} images decoded from codes that were drawn from the prior. None of them was "
        "selected. They show what the model has learned as normal: they should look like normal images "
        "and differ from each other." + (" Each column shows one class." if num_classes else ""),
        f"Grid of {len(images)} generated images.",
    )


def draw_sheet(name: str, title: str, cases: Cases, error_limit: float) -> Drawing:
    """Returns one figure of all cases: the pictures of each case in a column, and the colour scale.

    Args:
        name: name of the figure's file without the ending.
        title: heading of the figure.
        cases: the cases to show, one column each.
        error_limit: error at the upper end of the colour scale, in the unit of the error maps.
    """
    n, height, width, _ = cases.images.shape
    gap = max(1, height // 16)
    names = list_picture_names(cases)
    pictures = _draw_pictures(cases, error_limit, lambda values: values)
    pixels = make_mosaic(np.concatenate(pictures), columns=n, gap=gap)
    cell = 1.1  # inches
    size = (cell * n + 1.9, len(names) * cell * height / width + 0.75)
    figure = drawing.Figure(figsize=size, dpi=drawing.DPI)
    w, h = figure.get_size_inches()
    axes = figure.add_axes((0.95 / w, 0.1 / h, cell * n / w, (h - 0.75) / h))
    axes.imshow(pixels, interpolation="nearest" if height < SMALL else "antialiased")
    axes.set_title(f"{title}; the score of each image is above it", pad=22)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    scores = [format_quantity(float(score)) for score in cases.scores]
    axes.set_xticks((width - 1) / 2 + np.arange(n) * (width + gap), scores)
    axes.xaxis.tick_top()
    axes.set_yticks((height - 1) / 2 + np.arange(len(names)) * (height + gap), names)
    axes.tick_params(length=0)
    scale = figure.add_axes((1 - 0.8 / w, 0.1 / h, 0.12 / w, (h - 0.75) / h))
    scale.imshow(np.linspace(1, 0, 256)[:, None], cmap=ERROR_COLOURS, aspect="auto",
                 extent=(0, 1, 0, error_limit))  # fmt: skip
    scale.grid(False)
    scale.set_xticks([])
    scale.yaxis.tick_right()
    scale.set_yticks(
        [0, error_limit / 2, error_limit],
        ["0", format_quantity(error_limit / 2), f"≥ {format_quantity(error_limit)}"],
    )
    return Drawing(name, drawing.encode_figure(figure), "", f"{title}: {n} cases with error maps.")
