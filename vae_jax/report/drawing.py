"""One look for every figure. The object API of matplotlib: no pyplot, no state between figures."""

import dataclasses
import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by colour-blind readers as well.
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, INK, GREY = "#E69F00", "#56B4E9", "#24292f", "#6e7781"
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
NORMAL, ANOMALY = BLUE, VERMILION

# Enter with `matplotlib.rc_context(STYLE)` around everything that draws.
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 8.5,
    "text.color": INK,
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
DPI = 190  # twice the pixels of the page's columns


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes:
        name: stem of its file.
        png: its pixels.
        caption: what it shows and how to read it.
        alt: what a reader who cannot see it must know.
    """

    name: str
    png: bytes
    caption: str
    alt: str


def make_panel(
    width: float = 4.2, height: float = 2.8, legend_rows: int = 0
) -> tuple[Figure, Axes]:
    """Returns a figure of one plot, `width` by `height` inches and taller by rows of a legend on top.

    Its margins are fixed: margins that adapt to the labels cost a second drawing of everything.
    """
    legend = 0.2 * legend_rows
    height += legend
    left, right, bottom, top = 0.66, 0.16, 0.46, 0.36 + legend
    figure = Figure(figsize=(width, height), dpi=DPI)
    axes = figure.add_axes(
        (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    )
    return figure, axes


def encode_png(figure: Figure) -> bytes:
    """Returns the figure as PNG, the same bytes for the same figure."""
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
    return stream.getvalue()
