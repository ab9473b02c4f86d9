import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.report import drawing


def draw_line():
    figure, axes = drawing.make_panel(3.0, 2.0)
    axes.plot([0, 1], [0, 1])
    return drawing.encode_figure(figure)


@pytest.mark.parametrize(
    ("width", "height", "legend_rows"), [(4.2, 2.8, 0), (3.6, 2.5, 1), (4.0, 4.0, 5)]
)
def test_a_panel_has_its_size_and_fixed_margins(width, height, legend_rows):
    figure, axes = drawing.make_panel(width, height, legend_rows)
    total = height + 0.2 * legend_rows
    np.testing.assert_allclose(figure.get_size_inches(), (width, total))
    left, bottom, plot_width, plot_height = axes.get_position().bounds
    np.testing.assert_allclose((left * width, bottom * total), (0.66, 0.46))
    # The legend makes the figure taller and leaves the plot as large as without it.
    np.testing.assert_allclose(
        (plot_width * width, plot_height * total), (width - 0.82, height - 0.82)
    )


def test_png_has_the_pixels_of_the_figure():
    image = Image.open(io.BytesIO(draw_line()))
    assert image.size == (3 * drawing.DPI, 2 * drawing.DPI)


def test_equal_figures_give_equal_bytes():
    assert draw_line() == draw_line()
