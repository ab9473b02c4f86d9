"""Pictures of test images, reconstructions, error maps and samples.

The page shows each image as a tile of its own; `figures/` gets one sheet per gallery.

N cases, M samples, H W image, C channels.
"""

import numpy as np
from jaxtyping import Float

from vae_jax.data.shrink import shrink_images
from vae_jax.report import drawing
from vae_jax.report.drawing import Drawing
from vae_jax.report.evaluation.cases import Cases
from vae_jax.report.images import (
    ERROR_COLOURS,
    SMALL,
    TILE,
    colour_errors,
    encode_png,
    make_mosaic,
    to_rgb,
)
from vae_jax.report.numerals import format_quantity

_MIN_SAMPLES_WIDTH = 900  # pixels; a sheet of samples is enlarged to about this width


def make_tiles(cases: Cases, error_limit: float) -> list[tuple[bytes, bytes, bytes]]:
    """Returns input, reconstruction and error map of each case as PNG, no side longer than `TILE`.

    Args:
        cases: the cases to show.
        error_limit: error at the upper end of the colour scale, in the unit of the error maps.
    """
    triples = zip(
        to_rgb(shrink_images(cases.images, TILE)),
        to_rgb(shrink_images(cases.reconstructions, TILE)),
        # Errors are averaged before they are coloured: the mean of colours is not the colour of the mean.
        colour_errors(shrink_images(cases.error_maps[..., None], TILE)[..., 0], error_limit),
        strict=True,
    )
    return [(encode_png(x), encode_png(x_hat), encode_png(error)) for x, x_hat, error in triples]


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
    """Returns one figure of all cases: input, reconstruction and error map of each, and the colour scale.

    Args:
        name: name of the figure's file without the ending.
        title: heading of the figure.
        cases: the cases to show, one column each.
        error_limit: error at the upper end of the colour scale, in the unit of the error maps.
    """
    n, height, width, _ = cases.images.shape
    gap = max(1, height // 16)
    errors = colour_errors(cases.error_maps, error_limit)
    pixels = make_mosaic(
        np.concatenate([to_rgb(cases.images), to_rgb(cases.reconstructions), errors]),
        columns=n,
        gap=gap,
    )
    cell = 1.1  # inches
    figure = drawing.Figure(figsize=(cell * n + 1.9, 3 * cell * height / width + 0.75),
                            dpi=drawing.DPI)  # fmt: skip
    w, h = figure.get_size_inches()
    axes = figure.add_axes((0.95 / w, 0.1 / h, cell * n / w, (h - 0.75) / h))
    axes.imshow(pixels, interpolation="nearest" if height < SMALL else "antialiased")
    axes.set_title(f"{title}; the score of each image is above it", pad=22)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    scores = [format_quantity(float(score)) for score in cases.scores]
    axes.set_xticks((width - 1) / 2 + np.arange(n) * (width + gap), scores)
    axes.xaxis.tick_top()
    axes.set_yticks(
        (height - 1) / 2 + np.arange(3) * (height + gap), ["input", "reconstruction", "error"]
    )
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
