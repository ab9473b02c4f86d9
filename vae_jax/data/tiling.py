"""Where the tiles lie that cover a whole image, and which tiles belong to the same image.

A tile is a square of the stored image. Tiles overlap, and the last one in each direction ends where the
image ends, so every pixel is in a tile. An image that is smaller than a tile is enlarged: its tiles span
its shorter side. It is not padded, because the edge of the padding would be the most unusual thing in it.

T tiles, N images, H W tile as the model sees it, h w whole image at the same scale.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int32


def compute_tile_offsets(length: int, side: int, stride: int) -> list[int]:
    """Returns where tiles start: every `stride` pixels, and the last one where it ends with the image.

    Args:
        length: side of the image along which the tiles lie, pixels.
        side: side of a tile, at most `length`, pixels.
        stride: pixels from one tile to the next, at most `side`.
    """
    last = length - side
    return [*range(0, last, stride), last]


def compute_boxes(
    width: int, height: int, tile_size: int, tile_stride: int = 0
) -> Int32[np.ndarray, "T 3"]:
    """Returns left, top and side of the tiles that cover an image, row by row, in pixels of the image.

    Args:
        width: width of the image.
        height: height of the image.
        tile_size: side of a tile; an image with a shorter side has tiles of this shorter side.
        tile_stride: pixels from one tile to the next, at most `tile_size`; 0 is half a tile. In an image
            that is smaller than a tile it shrinks like the tile.
    """
    side = min(width, height, tile_size)
    stride = tile_stride * side / tile_size if tile_stride else side / 2
    stride = max(1, int(stride))
    lefts, tops = (compute_tile_offsets(length, side, stride) for length in (width, height))
    return np.array([(left, top, side) for top in tops for left in lefts], np.int32)


@dataclasses.dataclass(frozen=True)
class TileLayout:
    """Where the tiles of one image lie in the whole image, in pixels that the model sees.

    Attributes:
        starts: upper and left edge of each tile.
        shape: h and w.
        tile_size: H and W.
    """

    starts: Int[np.ndarray, "T 2"]
    shape: tuple[int, int]
    tile_size: int

    def place(self, tile: int) -> tuple[slice, slice]:
        """Returns the rows and columns of the whole image that a tile covers."""
        top, left = self.starts[tile].tolist()
        return slice(top, top + self.tile_size), slice(left, left + self.tile_size)


def lay_out_tiles(boxes: Int[np.ndarray, "T 3"], tile_size: int) -> TileLayout:
    """Returns where the tiles of one image lie in the part of it that they cover.

    Args:
        boxes: left, top and side of each tile in the stored image; all sides are equal.
        tile_size: H and W, pixels that the model sees.
    """
    scale = tile_size / boxes[0, 2]
    corners = boxes[:, 1::-1]  # top and left
    # Rounded half up; the last tile ends where the image ends.
    starts = np.floor((corners - corners.min(0)) * scale + 0.5).astype(np.int64)
    height, width = (starts.max(0) + tile_size).tolist()
    return TileLayout(starts, (height, width), tile_size)


def index_images(files: Sequence[str]) -> Int[np.ndarray, "T"]:
    """Returns the number of the image that each tile was cut from.

    Args:
        files: file of the image of each tile; images are numbered in the order of their first tile.
    """
    number_of: dict[str, int] = {}
    return np.array([number_of.setdefault(file, len(number_of)) for file in files], np.int64)


def list_first_tiles(image_of_tile: Int[np.ndarray, "T"]) -> Int[np.ndarray, "N"]:
    """Returns the row of the first tile of each image, from the result of `index_images`."""
    return np.unique(image_of_tile, return_index=True)[1]
