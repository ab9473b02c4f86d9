"""Whole images that were cut into tiles: one row per image, and the pixels that the tiles cover together.

The tiles of an image have its file. Where images are not cut into tiles that cover them, every row is a
whole image, and the functions below return what they receive.

T tiles of one image, N rows, H W tile, h w whole image at the scale of its tiles, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.tiling import TileLayout, index_images, lay_out_tiles, list_first_tiles

_WHITE = 255  # grey level where no tile is, because it was too saturated to be used


def take_whole_images(examples: Examples) -> Examples:
    """Returns one row per whole image; its `images` and `masks` are those of the first tile."""
    if examples.boxes is None:
        return examples
    first = list_first_tiles(index_images(examples.files))
    return dataclasses.replace(examples.take(first), boxes=None)


def view_whole_images(dataset: Dataset) -> Dataset:
    """Returns the dataset with one row per whole image in every role; see `take_whole_images`."""
    roles = {
        role: take_whole_images(getattr(dataset, role))
        for role in ("train", "val", "calibration", "test")
    }
    return dataclasses.replace(dataset, **roles)


def separate_tiles(examples: Examples) -> Examples:
    """Returns examples of which every tile is an image of its own, with the name of the tile."""
    return dataclasses.replace(examples, files=examples.names, boxes=None, offsets=None)


def list_tiles_of_images(
    examples: Examples, images: Int[np.ndarray, "M"]
) -> list[Int[np.ndarray, "T"]]:
    """Returns the rows of the tiles of some images.

    Args:
        examples: tiles.
        images: rows of `take_whole_images`.
    """
    image_of_tile = index_images(examples.files)
    order = np.argsort(image_of_tile, kind="stable")
    starts = np.searchsorted(image_of_tile[order], images)
    ends = np.searchsorted(image_of_tile[order], images, side="right")
    return [order[start:end] for start, end in zip(starts, ends, strict=True)]


def assemble_image(tiles: UInt8[np.ndarray, "T H W C"], layout: TileLayout) -> np.ndarray:
    """Returns the image [h, w, C] that tiles cover; it is white where there is no tile."""
    image = np.full((*layout.shape, tiles.shape[3]), _WHITE, np.uint8)
    for i, tile in enumerate(tiles):
        image[layout.place(i)] = tile
    return image


def assemble_mask(tiles: UInt8[np.ndarray, "T H W"], layout: TileLayout) -> np.ndarray:
    """Returns the mask [h, w] of a whole image: 1 where the mask of any tile is."""
    mask = np.zeros(layout.shape, np.uint8)
    for i, tile in enumerate(tiles):
        mask[layout.place(i)] |= tile
    return mask


def shrink_whole_images(examples: Examples, side: int) -> UInt8[np.ndarray, "N side side C"]:
    """Returns whole images that are stretched to small squares; memory holds one whole image at a time.

    Args:
        examples: tiles.
        side: height and width of the squares, pixels.
    """
    count = len(np.unique(index_images(examples.files)))
    channels = examples.images.shape[3]
    small = np.empty((count, side, side, channels), np.uint8)
    for i, rows in enumerate(list_tiles_of_images(examples, np.arange(count))):
        layout = lay_out_rows(examples, rows)
        pixels = assemble_image(examples.images[rows], layout)
        for channel in range(channels):
            image = Image.fromarray(np.ascontiguousarray(pixels[..., channel]))
            small[i, ..., channel] = image.resize((side, side), Image.Resampling.BOX)
    return small


def lay_out_rows(examples: Examples, rows: Int[np.ndarray, "T"]) -> TileLayout:
    """Returns where the tiles of one image lie in it."""
    return lay_out_tiles(examples.boxes[rows], examples.images.shape[2])
