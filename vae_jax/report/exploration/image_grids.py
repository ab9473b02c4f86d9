"""Figures of labelled rows of images and of grids of images.

R rows, S images per row, H W image, C channels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from vae_jax.data.shrink import shrink_images
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.images import SMALL, TILE, make_mosaic, to_rgb

_MAX_WIDTH = 9.0  # width of a row of images, inches
_MAX_CELL = 0.85  # width of an image, inches
_LETTER = 0.075  # average width of a letter of a label, inches
_TITLE_LETTER = 0.085  # average width of a letter of the title, inches


def draw_image_rows(
    name: str,
    title: str,
    images: Float32[np.ndarray, "R S H W C"],
    labels: Sequence[str],
    caption: str,
    columns: Sequence[str] = (),
) -> Drawing:
    """Returns a figure of labelled rows of images.

    Args:
        name: file name without its ending.
        title: title of the figure.
        images: images in [0, 1].
        labels: label of each row.
        caption: text that explains how to read the figure.
        columns: label of each column; empty for no labels.
    """
    num_rows, num_columns = images.shape[:2]
    pixels = to_rgb(shrink_images(images.reshape(num_rows * num_columns, *images.shape[2:]), TILE))
    height, width = pixels.shape[1:3]
    gap = max(1, height // 16)
    sheet = make_mosaic(pixels, num_columns, gap)
    cell = min(_MAX_CELL, _MAX_WIDTH / num_columns)
    left = 0.25 + _LETTER * max((len(label) for label in labels), default=0)
    top = 0.62 if columns else 0.4
    sheet_width, sheet_height = cell * num_columns, cell * num_rows * height / width
    figure = drawing.Figure(
        figsize=(
            max(left + sheet_width + 0.15, 0.3 + _TITLE_LETTER * len(title)),
            sheet_height + top + 0.1,
        ),
        dpi=drawing.DPI,
    )
    figure_width, figure_height = figure.get_size_inches()
    axes = figure.add_axes(
        (left / figure_width, 0.1 / figure_height, sheet_width / figure_width,
         sheet_height / figure_height)
    )  # fmt: skip
    _show_sheet(axes, sheet, height)
    figure.text(
        0.12 / figure_width, 1 - 0.22 / figure_height, title, weight="bold", size=9.5, va="center"
    )
    axes.set_yticks((height - 1) / 2 + np.arange(num_rows) * (height + gap), labels)
    if columns:
        axes.set_xticks((width - 1) / 2 + np.arange(num_columns) * (width + gap), columns)
        axes.xaxis.tick_top()
    else:
        axes.set_xticks([])
    axes.tick_params(length=0)
    alt = f"{title}: {num_rows} rows of {num_columns} images."
    return Drawing(name, drawing.encode_figure(figure), caption, alt)


def draw_image_grids(
    name: str,
    title: str,
    grids: Sequence[tuple[str, Float32[np.ndarray, "_ H W C"]]],
    columns: int,
    caption: str,
) -> Drawing:
    """Returns a figure of grids of images side by side.

    Args:
        name: file name without its ending.
        title: title of the figure.
        grids: heading and images in [0, 1] of each grid.
        columns: number of columns of each grid.
        caption: text that explains how to read the figure.
    """
    num_rows = max(-(-len(images) // columns) for _, images in grids)
    cell = min(_MAX_CELL, _MAX_WIDTH / (columns * len(grids)))
    side, space, top = cell * columns, 0.3, 0.66
    figure = drawing.Figure(
        figsize=(max(len(grids) * (side + space), 0.3 + _TITLE_LETTER * len(title)),
                 cell * num_rows + top + 0.12),
        dpi=drawing.DPI,
    )  # fmt: skip
    width, height = figure.get_size_inches()
    figure.text(0.15 / width, 1 - 0.2 / height, title, weight="bold", size=9.5, va="center")
    for i, (heading, images) in enumerate(grids):
        pixels = to_rgb(shrink_images(images, TILE))
        axes = figure.add_axes(
            ((0.15 + i * (side + space)) / width, 0.12 / height, side / width,
             cell * num_rows / height)
        )  # fmt: skip
        _show_sheet(
            axes, make_mosaic(pixels, columns, max(1, pixels.shape[1] // 16)), pixels.shape[1]
        )
        axes.set_anchor("NW")
        axes.set_title(heading, weight="normal", size=8.5, pad=5)
        axes.set_xticks([])
        axes.set_yticks([])
    alt = f"{title}: grids of {', '.join(heading for heading, _ in grids)}."
    return Drawing(name, drawing.encode_figure(figure), caption, alt)


def _show_sheet(axes, sheet: np.ndarray, image_height: int) -> None:
    axes.imshow(sheet, interpolation="nearest" if image_height < SMALL else "antialiased")
    axes.grid(False)
    axes.spines[:].set_visible(False)
