"""The critical-difference diagram: average ranks on an axis, with bars over what cannot be told apart.

K competitors. All places are in pixels of the drawing.

Source: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", figure 1.
"""

import dataclasses
import math
from collections.abc import Sequence

from vae_jax.comparison.ranks import Ranks

AXIS = 62  # distance of the axis from the upper edge
GAP = 15  # between a text and the axis
_LENGTH = 340  # of the axis
_MARGIN, _LETTER = 170.0, 7.6  # least width of the margin for texts, and width of a letter
_LINE, _BAR = 24, 9  # distances of labels and of bars


@dataclasses.dataclass(frozen=True)
class Label:
    """A competitor beside the axis, and the line to its rank.

    Attributes:
        text: its name and average rank.
        x: place of its average rank on the axis.
        y: distance of its text from the upper edge.
        is_left: whether the text is to the left of the axis.
    """

    text: str
    x: float
    y: int
    is_left: bool


@dataclasses.dataclass(frozen=True)
class RankDiagram:
    """Places of all parts of a diagram.

    Attributes:
        width: width of the drawing.
        height: height of the drawing.
        left: left end of the axis.
        right: right end of the axis.
        ticks: place and text of each mark on the axis.
        labels: the competitors, the best rank first.
        bars: left end, right end and distance from the upper edge of each bar.
        scale: length of the critical difference.
        critical_difference: the critical difference.
        alt: the same in words.
    """

    width: float
    height: int
    left: float
    right: float
    ticks: list[tuple[float, str]]
    labels: list[Label]
    bars: list[tuple[float, float, int]]
    scale: float
    critical_difference: float
    alt: str


def arrange_diagram(names: Sequence[str], ranks: Ranks) -> RankDiagram:
    """Returns the places of all parts of a diagram.

    Args:
        names: name of each of the K competitors.
        ranks: their average ranks.
    """
    num = len(names)
    left = max(_MARGIN, _LETTER * (max(map(len, names)) + 6) + GAP)

    def place(rank: float | int) -> float:
        return left + _LENGTH * (rank - 1) / (num - 1)

    order = sorted(range(num), key=lambda k: (ranks.average[k], k))
    sorted_ranks = [float(ranks.average[k]) for k in order]
    cliques = ranks.find_cliques()
    bars = [
        (place(sorted_ranks[first]) - 4, place(sorted_ranks[last]) + 4, AXIS + 12 + _BAR * row)
        for row, (first, last) in enumerate(cliques)
    ]
    top = AXIS + 28 + _BAR * len(cliques)
    num_left = math.ceil(num / 2)
    labels = []
    for position, k in enumerate(order):
        is_left = position < num_left
        row = position if is_left else num - 1 - position
        text = f"{names[k]}  {sorted_ranks[position]:.2f}"
        labels.append(Label(text, place(sorted_ranks[position]), top + _LINE * row, is_left))
    step = max(1, math.ceil((num - 1) / 10))
    ticks = [(place(rank), str(rank)) for rank in range(1, num + 1, step)]
    listed = "; ".join(
        f"{names[k]} {rank:.2f}" for k, rank in zip(order, sorted_ranks, strict=True)
    )
    return RankDiagram(
        width=2 * left + _LENGTH,
        left=left,
        right=left + _LENGTH,
        height=top + _LINE * (num_left - 1) + 14,
        ticks=ticks,
        labels=labels,
        bars=bars,
        scale=_LENGTH * ranks.critical_difference / (num - 1),
        critical_difference=ranks.critical_difference,
        alt=f"Average ranks, the best first: {listed}. Critical difference: "
        f"{ranks.critical_difference:.2f}.",
    )
