"""Outlines of masks as paths of SVG, which lie over a picture and leave its pixels as they are.

H W mask.
"""

import contourpy
import numpy as np
from jaxtyping import Bool


def trace_outline(mask: Bool[np.ndarray, "H W"]) -> str:
    """Returns the path around everything that a mask marks, in pixels from the upper left corner.

    Args:
        mask: which pixels are marked.

    Returns:
        The attribute `d` of the path; "" if nothing is marked.
    """
    if not mask.any():
        return ""
    # A frame of unmarked pixels closes the outline of what touches the edge of the image.
    framed = np.pad(mask.astype(np.float32), 1)
    lines = contourpy.contour_generator(z=framed).lines(0.5)
    # The middle of the first pixel inside of the frame is (1, 1) there and (0.5, 0.5) on the page.
    return "".join(_write_path(np.asarray(line)[:-1] - 0.5) for line in lines)


def _write_path(points: np.ndarray) -> str:
    steps = np.diff(points, axis=0, append=points[:1])
    # A point on the straight line between its neighbours says nothing.
    turns = (steps != np.roll(steps, 1, axis=0)).any(axis=1)
    kept = points[turns] if turns.any() else points
    return "M" + "L".join(f"{x:.4g},{y:.4g}" for x, y in kept) + "Z"
