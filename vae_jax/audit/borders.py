"""Dark or white borders of an image, and flat boxes in its corners.

An image that was cut out of a screen, a microscope or an endoscope has borders and boxes that say where it
comes from. If only one of two classes has them, a model may tell the classes apart by them alone.

H W image.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

CORNERS = ("upper left", "upper right", "lower left", "lower right")

_DARK, _WHITE = 24, 245  # grey levels up to which, or from which on, a pixel is dark or white
_TOLERANCE = 16  # grey levels by which a pixel of a box may differ from its colour
_CONTRAST = 40  # grey levels by which a pixel beyond an edge of a box must differ from it
_FLAT = 0.95  # share of a box that has its colour
_MIN_SIDE, _MAX_SIDE = 0.08, 0.7  # sides of a box, as shares of those of the image
_MIN_EDGE = 0.6  # share of the inner edges of a box outside which the image has another colour
_START = 3  # pixels; the colour of a box is the median of so many in both directions


class Borders(NamedTuple):
    """Borders and boxes of one image; all numbers are shares of the area of the image.

    Attributes:
        dark: dark pixels that are connected to the border of the image.
        white: near-white pixels that are connected to it.
        boxes: the box in each corner, in the order of CORNERS; 0 where there is none.
    """

    dark: float
    white: float
    boxes: tuple[float, float, float, float]


def measure_borders(image: UInt8[np.ndarray, "H W 3"]) -> Borders:
    """Measures borders and boxes; an image of about a hundred pixels is large enough."""
    red, green, blue = np.moveaxis(image, -1, 0)  # NumPy is slow along an axis of three values
    dark = np.maximum(np.maximum(red, green), blue) <= _DARK
    white = np.minimum(np.minimum(red, green), blue) >= _WHITE
    boxes = tuple(
        _measure_box(image[::vertical, ::horizontal])
        for vertical in (1, -1)
        for horizontal in (1, -1)
    )
    return Borders(_share_at_border(dark), _share_at_border(white), boxes)


def _share_at_border(marked: Bool[np.ndarray, "H W"]) -> float:
    """Returns the share of the area of marked pixels that are connected to the border."""
    regions, num_regions = ndimage.label(marked)
    is_at_border = np.zeros(num_regions + 1, bool)
    for line in (regions[0], regions[-1], regions[:, 0], regions[:, -1]):
        is_at_border[line] = True
    is_at_border[0] = False  # what is not marked
    return float(is_at_border[regions].mean())


def _measure_box(image: UInt8[np.ndarray, "H W 3"]) -> float:
    """Returns the share of the area of the flat rectangle in the upper left corner; 0 without one.

    The rectangle is the largest one of a single colour that ends at both of its inner edges: beyond them
    the image has another colour. A frame along a whole side is no box.
    """
    height, width = image.shape[:2]
    colour = np.median(image[:_START, :_START].reshape(-1, 3), axis=0)
    difference = np.zeros((height, width), np.int16)
    for channel, level in enumerate(colour):
        np.maximum(difference, np.abs(image[..., channel] - np.int16(level)), out=difference)
    flat, other = difference <= _TOLERANCE, difference >= _CONTRAST
    area = np.arange(1, height + 1)[:, None] * np.arange(1, width + 1)
    is_flat = flat.cumsum(axis=0).cumsum(axis=1) >= _FLAT * area
    rows, columns = np.ix_(np.arange(1, height + 1) / height, np.arange(1, width + 1) / width)
    fits = (rows >= _MIN_SIDE) & (rows <= _MAX_SIDE) & (columns >= _MIN_SIDE)
    fits &= (columns <= _MAX_SIDE) & is_flat
    # Number of pixels just beyond the lower and the right edge that have another colour.
    below = np.pad(other.cumsum(axis=1)[2:], ((0, 2), (0, 0)))
    beside = np.pad(other.cumsum(axis=0)[:, 2:], ((0, 0), (0, 2)))
    length_below, length_beside = np.arange(1, width + 1)[None], np.arange(1, height + 1)[:, None]
    fits &= (below >= _MIN_EDGE * length_below) & (beside >= _MIN_EDGE * length_beside)
    return float((area * fits).max() / area[-1, -1])
