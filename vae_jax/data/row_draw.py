"""Draws a limited number of rows, for example of images, at random."""

import numpy as np
from jaxtyping import Int


def draw_rows(
    count: int, max_rows: int, seed: int | np.random.Generator, *, in_order: bool
) -> Int[np.ndarray, "M"]:
    """Draws rows at random and without replacement.

    Args:
        count: number of rows to draw from.
        max_rows: number of rows to draw; if there are fewer rows, all are drawn.
        seed: seed of the draw, or a generator that several draws share.
        in_order: True returns the rows in ascending order, False in the random order of the draw.

    Returns:
        Indices of min(count, max_rows) different rows, each in [0, count).
    """
    rows = np.random.default_rng(seed).permutation(count)[:max_rows]
    return np.sort(rows) if in_order else rows
