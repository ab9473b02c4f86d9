"""Images, reconstructions and error maps: as tiles for the page, as sheets for `figures/`.

N cases, H W image, C channels.
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

_SHEET_PIXELS = 900  # smallest width of the sheet of samples, in pixels


def tiles(cases: Cases, limit: float) -> list[tuple[bytes, bytes, bytes]]:
    """Returns input, reconstruction and error map of each case as PNG, at most `TILE` wide."""
    triples = zip(
        to_rgb(shrink_images(cases.images, TILE)),
        to_rgb(shrink_images(cases.reconstructions, TILE)),
        # Averaged before it is coloured: an average of colours is not the colour of an error.
        colour_errors(shrink_images(cases.error_maps[..., None], TILE)[..., 0], limit),
        strict=True,
    )
    return [(encode_png(x), encode_png(x_hat), encode_png(error)) for x, x_hat, error in triples]


def samples(images: Float[np.ndarray, "M H W C"], num_classes: int) -> Drawing:
    """Returns one sheet of images drawn from the prior; small pixels are enlarged as squares.

    Those of a conditional model come by class in turn, so each column of the sheet is a class.
    """
    columns = min(len(images), num_classes or (16 if len(images) > 32 else 8))
    pixels = to_rgb(shrink_images(images, TILE))
    sheet = make_mosaic(pixels, columns, gap=max(1, pixels.shape[1] // 24))
    enlarge = max(1, round(_SHEET_PIXELS / sheet.shape[1]))
    sheet = sheet.repeat(enlarge, 0).repeat(enlarge, 1)
    return Drawing(
        "samples",
        encode_png(sheet),
        f"{len(images)} images decoded from codes drawn from the prior, not chosen. They show what "
        "the model takes for normal: they should look like normal images, and differ."
        + (" Each column was drawn as one class." if num_classes else ""),
        f"Grid of {len(images)} generated images.",
    )


def sheet(name: str, title: str, cases: Cases, limit: float) -> Drawing:
    """Returns one figure of all cases: input, reconstruction, error map, with the colour scale."""
    n, height, width, _ = cases.images.shape
    gap = max(1, height // 16)
    pixels = make_mosaic(
        np.concatenate(
            [
                to_rgb(cases.images),
                to_rgb(cases.reconstructions),
                colour_errors(cases.error_maps, limit),
            ]
        ),
        columns=n,
        gap=gap,
    )
    cell = 1.1  # inches
    figure = drawing.Figure(figsize=(cell * n + 1.9, 3 * cell * height / width + 0.75),
                            dpi=drawing.DPI)  # fmt: skip
    w, h = figure.get_size_inches()
    axes = figure.add_axes((0.95 / w, 0.1 / h, cell * n / w, (h - 0.75) / h))
    axes.imshow(pixels, interpolation="nearest" if height < SMALL else "antialiased")
    axes.set_title(f"{title}, under their scores", pad=22)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_xticks(
        (width - 1) / 2 + np.arange(n) * (width + gap),
        [format_quantity(float(s)) for s in cases.scores],
    )
    axes.xaxis.tick_top()
    axes.set_yticks(
        (height - 1) / 2 + np.arange(3) * (height + gap), ["input", "reconstruction", "error"]
    )
    axes.tick_params(length=0)
    bar = figure.add_axes((1 - 0.8 / w, 0.1 / h, 0.12 / w, (h - 0.75) / h))
    bar.imshow(np.linspace(1, 0, 256)[:, None], cmap=ERROR_COLOURS, aspect="auto",
               extent=(0, 1, 0, limit))  # fmt: skip
    bar.grid(False)
    bar.set_xticks([])
    bar.yaxis.tick_right()
    bar.set_yticks(
        [0, limit / 2, limit], ["0", format_quantity(limit / 2), f"≥ {format_quantity(limit)}"]
    )
    return Drawing(name, drawing.encode_png(figure), "", f"{title}: {n} cases with error maps.")
