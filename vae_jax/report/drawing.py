"""The common style of all figures, and their PNG encoding.

It uses matplotlib's object API and not pyplot, so that no state remains between figures.
"""

import dataclasses
import io
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# The palette of Okabe and Ito: colour-blind readers can distinguish its colours too.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, INK, GREY = "#E69F00", "#56B4E9", "#24292f", "#6e7781"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
NORMAL, ANOMALY = BLUE, VERMILION

# Use as `with matplotlib.rc_context(STYLE):` around everything that draws.
STYLE = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib: figures are equal on all machines
    "font.size": 8.5,
    "text.color": INK,
    # Names of classes and files may contain "$", which would begin a formula.
    "text.parse_math": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.limits": (-3, 5),
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 1.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
# A zero-width space, which the font has: in front of "_" it shows nothing.
_INVISIBLE = "\u200b"
_MAX_LEGEND_LETTERS = 24  # of a label of a legend with two columns
DPI = 190  # twice the pixels that a column of the page has, for screens of high resolution


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes:
        name: name of its file without the ending.
        png: the figure, encoded as PNG.
        caption: what the figure shows and how to read it.
        alt: text for readers who cannot see the figure.
    """

    name: str
    png: bytes
    caption: str
    alt: str


def make_panel(
    width: float = 4.2, height: float = 2.8, legend_rows: int = 0
) -> tuple[Figure, Axes]:
    """Returns a figure with one plot.

    The margins are fixed, because margins that adapt to the labels would draw everything twice.

    Args:
        width: width of the figure, inches.
        height: height of the figure without its legend, inches.
        legend_rows: rows of the legend above the plot; each makes the figure 0.2 inches taller.
    """
    legend = 0.2 * legend_rows
    height += legend
    left, right, bottom, top = 0.66, 0.16, 0.46, 0.36 + legend
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    )
    return figure, axes


def choose_legend_columns(labels: Iterable[str]) -> int:
    """Returns how many columns of these labels fit beside each other above a panel of 4.2 inches."""
    return 1 if any(len(label) > _MAX_LEGEND_LETTERS for label in labels) else 2


def make_legend_label(name: str) -> str:
    """Returns the text for a name in a legend: matplotlib leaves out labels that begin with "_"."""
    return f"{_INVISIBLE}{name}" if name.startswith("_") else name


def encode_figure(figure: Figure) -> bytes:
    """Returns the figure as PNG; equal figures give equal bytes."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                # Powers of ten are the only formulas in figures.
                for label in axis.get_ticklabels(which="both"):
                    label.set_parse_math(True)
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
    return stream.getvalue()
