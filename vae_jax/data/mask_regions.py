"""Masks at the size that the model sees, in which no marked region is lost.

A region is a connected part of a mask; pixels that touch at a corner are connected. Nearest-neighbour
resizing drops regions that lie between the pixels it takes, for example a line of 3 pixels in an image of
1,024 that becomes 96 pixels wide. Such a region gets one pixel, the one that is nearest to its middle, so
that localisation counts it.

h w part of a stored mask, H W mask that the model sees.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image
from scipy import ndimage

_CORNERS = np.ones((3, 3), bool)

# Resizes without interpolation, and returns 0 where it adds pixels.
Resize = Callable[[Image.Image], Image.Image]


def shrink_mask(
    marked: Bool[np.ndarray, "h w"], resize: Resize
) -> tuple[UInt8[np.ndarray, "H W"], int, int]:
    """Resizes a mask, and gives one pixel to each region that would be lost.

    Args:
        marked: where the stored mask marks a pixel.
        resize: takes nearest pixels, like `squaring.fit_square`.

    Returns:
        1 where a pixel is abnormal; the number of regions of the stored mask; and how many of them have
        one pixel only because of this rule.
    """
    mask = np.array(resize(Image.fromarray(marked.astype(np.uint8))))
    if not marked.any():
        return mask, 0, 0
    regions, num_regions = ndimage.label(marked, _CORNERS)
    present = np.asarray(resize(Image.fromarray(regions.astype(np.int32))))
    lost = np.setdiff1d(np.arange(1, num_regions + 1), present)
    if len(lost):
        rows, columns = _locate_sources(marked.shape, resize)
        boxes = ndimage.find_objects(regions)
        for region in lost:
            y, x = _find_middle(regions[boxes[region - 1]] == region)
            top, left = (part.start for part in boxes[region - 1])
            mask[_find_nearest(rows, top + y), _find_nearest(columns, left + x)] = 1
    return mask, num_regions, len(lost)


def _locate_sources(
    shape: tuple[int, int], resize: Resize
) -> tuple[Int[np.ndarray, "H"], Int[np.ndarray, "W"]]:
    """Returns the stored row of each row of the resized mask, and the column of each column.

    Rows and columns that are added around the image have the source -1.
    """
    y, x = (index.astype(np.int32) + 1 for index in np.indices(shape))
    resized = [np.asarray(resize(Image.fromarray(index))) - 1 for index in (y, x)]
    return resized[0].max(axis=1), resized[1].max(axis=0)


def _find_middle(inside: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    """Returns the pixel of a region that is nearest to its centre of gravity."""
    pixels = np.argwhere(inside)
    y, x = pixels[np.argmin(np.square(pixels - pixels.mean(axis=0)).sum(axis=1))]
    return int(y), int(x)


def _find_nearest(sources: Int[np.ndarray, "n"], place: int) -> int:
    """Returns the index whose source is nearest to a place; one without a source is never nearest."""
    distance = np.abs(sources - place)
    return int(np.argmin(np.where(sources < 0, np.iinfo(distance.dtype).max, distance)))
