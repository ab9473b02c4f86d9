import io

import matplotlib
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


def draw(write, style=drawing.STYLE):
    """Returns the pixels of a figure in which `write` has written."""
    with matplotlib.rc_context(style):
        figure, axes = drawing.make_panel(3.0, 2.0)
        axes.plot([1, 1000], [1, 2], label="line")
        write(axes)
        with Image.open(io.BytesIO(drawing.encode_figure(figure))) as image:
            return np.asarray(image.convert("L"))


@pytest.mark.parametrize("name", ["$x$", "a$b_1$c", "$\\frac$", "50$ and 60$"])
@pytest.mark.parametrize(
    "write",
    [
        lambda axes, text: axes.set_title(text),
        lambda axes, text: axes.set_xticks([1], [text]),
        lambda axes, text: axes.legend(axes.get_lines(), [text]),
        lambda axes, text: axes.figure.text(0.1, 0.5, text),
    ],
    ids=["title", "tick", "legend", "text"],
)
def test_dollar_signs_are_written_and_begin_no_formula(name, write):
    with_dollars = draw(lambda axes: write(axes, name))
    without = draw(lambda axes: write(axes, name.replace("$", "")))
    assert (with_dollars != without).any()
    # matplotlib reads a dollar sign behind a backslash as a dollar sign.
    mathematical = drawing.STYLE | {"text.parse_math": True}
    escaped = name.replace("$", r"\$")
    np.testing.assert_array_equal(
        with_dollars, draw(lambda axes: write(axes, escaped), mathematical)
    )


def test_powers_of_ten_on_a_logarithmic_axis_are_written_as_formulas():
    def make_logarithmic(axes):
        axes.set_xscale("log")
        axes.set_yscale("log")

    mathematical = drawing.STYLE | {"text.parse_math": True}
    np.testing.assert_array_equal(draw(make_logarithmic), draw(make_logarithmic, mathematical))


def test_a_name_that_begins_with_an_underscore_has_its_entry_in_the_legend():
    def write(axes):
        axes.plot([1, 1000], [2, 1], label=drawing.make_legend_label("_old"))
        axes.legend()
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["line", "\u200b_old"]

    def write_explicitly(axes):
        axes.plot([1, 1000], [2, 1], label="other")
        axes.legend()
        axes.get_legend().get_texts()[1].set_text("_old")

    # The mark before the name shows nothing.
    np.testing.assert_array_equal(draw(write), draw(write_explicitly))
    assert drawing.make_legend_label("new_") == "new_"
