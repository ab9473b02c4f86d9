"""Scores of whole images from the scores of the tiles that cover them.

The score of an image is the highest score among its tiles. Validation, calibration and test images are all
joined in the same way, before scores are combined and before any threshold is set. So a calibration image
and a new normal image are exchangeable as wholes, and the promised false-alarm rate holds per image. Among
tiles it would hold per tile: an image with many tiles would almost always raise an alarm.

T tiles, N images.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from vae_jax.data.examples import Examples
from vae_jax.data.tiling import index_images


def join_tiles(
    columns: Mapping[str, Float[np.ndarray, "T"]], image_of_tile: Int[np.ndarray, "T"]
) -> dict[str, Float[np.ndarray, "N"]]:
    """Returns the columns of whole images: the highest value among the tiles of each image.

    Args:
        columns: name of a score -> its value for each tile.
        image_of_tile: number of the image of each tile, from `tiling.index_images`.
    """
    num_images = int(image_of_tile.max(initial=-1)) + 1
    joined = {}
    for name, values in columns.items():
        highest = np.full(num_images, -np.inf, values.dtype)
        np.maximum.at(highest, image_of_tile, values)
        joined[name] = highest
    return joined


def join_columns(
    columns: Mapping[str, Float[np.ndarray, "T"]], examples: Examples
) -> dict[str, Float[np.ndarray, "N"]]:
    """Returns the columns of the whole images of examples, in the order of `take_whole_images`.

    Args:
        columns: name of a score -> its value for each row of the examples.
        examples: tiles; or whole images, whose columns stay as they are.
    """
    if examples.boxes is None:
        return dict(columns)
    return join_tiles(columns, index_images(examples.files))
