"""Figures of images in rows and grids, under their labels.

R rows, S images in each, H W image, C channels.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32

from vae_jax.data.shrink import shrink_images
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.images import SMALL, TILE, make_mosaic, to_rgb

_WIDTH = 9.0  # inches of a full row of images
_CELL = 0.85  # largest side of an image, inches
_LETTER = 0.075  # width of a letter of a label, inches


def rows(
    name: str,
    title: str,
    images: Float32[np.ndarray, "R S H W C"],
    labels: Sequence[str],
    caption: str,
    columns: Sequence[str] = (),
) -> Drawing:
    """Returns rows of images with a label each.

    Args:
        name: stem of the file.
        title: what is seen and how many.
        images: in [0, 1].
        labels: of the R rows.
        caption: how to read it.
        columns: labels of the S columns; empty for none.
    """
    num_rows, steps = images.shape[:2]
    pixels = to_rgb(shrink_images(images.reshape(num_rows * steps, *images.shape[2:]), TILE))
    height, width = pixels.shape[1:3]
    gap = max(1, height // 16)
    sheet = make_mosaic(pixels, steps, gap)
    cell = min(_CELL, _WIDTH / steps)
    left = 0.25 + _LETTER * max((len(label) for label in labels), default=0)
    top = 0.62 if columns else 0.4
    drawn_width, drawn_height = cell * steps, cell * num_rows * height / width
    figure = drawing.Figure(
        figsize=(
            max(left + drawn_width + 0.15, 0.3 + 0.085 * len(title)),
            drawn_height + top + 0.1,
        ),
        dpi=drawing.DPI,
    )
    full_width, full_height = figure.get_size_inches()
    axes = figure.add_axes(
        (left / full_width, 0.1 / full_height, drawn_width / full_width, drawn_height / full_height)
    )
    _show(axes, sheet, height)
    figure.text(
        0.12 / full_width, 1 - 0.22 / full_height, title, weight="bold", size=9.5, va="center"
    )
    axes.set_yticks((height - 1) / 2 + np.arange(num_rows) * (height + gap), labels)
    if columns:
        axes.set_xticks((width - 1) / 2 + np.arange(steps) * (width + gap), columns)
        axes.xaxis.tick_top()
    else:
        axes.set_xticks([])
    axes.tick_params(length=0)
    alt = f"{title}: {num_rows} rows of {steps} images."
    return Drawing(name, drawing.encode_png(figure), caption, alt)


def grids(
    name: str,
    title: str,
    parts: Sequence[tuple[str, Float32[np.ndarray, "_ H W C"]]],
    columns: int,
    caption: str,
) -> Drawing:
    """Returns grids of images beside each other, each under its own heading."""
    num_rows = max(-(-len(images) // columns) for _, images in parts)
    cell = min(_CELL, _WIDTH / (columns * len(parts)))
    side, space, top = cell * columns, 0.3, 0.66
    figure = drawing.Figure(
        figsize=(max(len(parts) * (side + space), 0.3 + 0.085 * len(title)),
                 cell * num_rows + top + 0.12),
        dpi=drawing.DPI,
    )  # fmt: skip
    width, height = figure.get_size_inches()
    figure.text(0.15 / width, 1 - 0.2 / height, title, weight="bold", size=9.5, va="center")
    for i, (heading, images) in enumerate(parts):
        pixels = to_rgb(shrink_images(images, TILE))
        axes = figure.add_axes(
            ((0.15 + i * (side + space)) / width, 0.12 / height, side / width,
             cell * num_rows / height)
        )  # fmt: skip
        _show(axes, make_mosaic(pixels, columns, max(1, pixels.shape[1] // 16)), pixels.shape[1])
        axes.set_anchor("NW")
        axes.set_title(heading, weight="normal", size=8.5, pad=5)
        axes.set_xticks([])
        axes.set_yticks([])
    alt = f"{title}: grids of {', '.join(heading for heading, _ in parts)}."
    return Drawing(name, drawing.encode_png(figure), caption, alt)


def _show(axes, sheet: np.ndarray, image_height: int) -> None:
    axes.imshow(sheet, interpolation="nearest" if image_height < SMALL else "antialiased")
    axes.grid(False)
    axes.spines[:].set_visible(False)
