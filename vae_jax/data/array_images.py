"""Arrays of numbers -> uint8 images as the model sees them, without files in between.

N images, D numbers of an image, h w C array of an image, H W image that the model sees.
"""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image

from vae_jax.data import decode
from vae_jax.data.framing import Framing
from vae_jax.data.intensity import FULL, Intensity
from vae_jax.data.squaring import cut_centre
from vae_jax.errors import UserError

_log = logging.getLogger(__name__)

# The window of numbers of any unit begins and ends at these percentiles of the training images, and this
# share of their distance further out, so that numbers outside it are told from those at its ends.
_PERCENTILES = (0.1, 99.9)
_MARGIN = 0.25


def choose_shape(
    num_features: int, image_shape: Sequence[int] | None = None
) -> tuple[int, int, int]:
    """Returns height, width and channels of the image that a row of numbers stands for.

    Args:
        num_features: D.
        image_shape: height and width, or height, width and channels. None takes the smallest grey square
            that holds the numbers.

    Raises:
        ValueError: if an image of this shape does not have as many numbers.
    """
    if image_shape is not None:
        shape = (*image_shape, 1)[:3]
        if len(image_shape) not in (2, 3) or math.prod(shape) != num_features:
            raise ValueError(
                f"image_shape is {image_shape}, but an image has n_features={num_features} numbers"
            )
        return tuple(map(int, shape))
    side = math.isqrt(num_features - 1) + 1
    if side**2 != num_features:
        _log.warning(
            "the images have %d numbers, which fill no square; they are taken for the first of %dx%d "
            "pixels, unless image_shape says otherwise", num_features, side, side,
        )  # fmt: skip
    return side, side, 1


def fold_rows(
    rows: Num[np.ndarray, "N D"], shape: tuple[int, int, int], filling: int | float
) -> Num[np.ndarray, "N h w C"]:
    """Returns rows of numbers as images; where an image has more numbers, the last ones are `filling`."""
    missing = math.prod(shape) - rows.shape[1]
    if missing:
        rows = rows.astype(np.float64) if filling else rows
        rows = np.pad(rows, ((0, 0), (0, missing)), constant_values=filling)
    return rows.reshape(len(rows), *shape)


def fit_intensity(
    rows: Num[np.ndarray, "N D"], value_range: tuple[Any, Any] | None = None
) -> Intensity:
    """Returns the map from numbers to grey levels that fits training images.

    Args:
        rows: numbers of the training images.
        value_range: numbers that become black and white. None takes numbers of type uint8 as grey levels,
            and chooses a window for others, which the extremes of a few pixels do not stretch.

    Raises:
        UserError: if the range is empty.
    """
    if value_range is not None:
        low, high = map(float, value_range)
        if not low < high:
            raise UserError(f"value_range is {value_range}; the first number must be lower")
        return Intensity("window", low, high)
    if rows.dtype == np.uint8:
        return FULL
    low, high = np.percentile(rows.astype(np.float64), _PERCENTILES)
    if low == high:
        low, high = float(rows.min()), float(rows.max())
    margin = _MARGIN * (high - low) or max(1.0, abs(low))
    return Intensity("window", float(low - margin), float(high + margin))


def frame_arrays(
    arrays: Num[np.ndarray, "N h w C"], framing: Framing
) -> UInt8[np.ndarray, "N H W C"]:
    """Returns what the model sees of images; grey levels are what a file with the same values would give.

    Args:
        arrays: the images; numbers of type uint8 are grey levels if the intensity is "full".
        framing: part and size of the image, and the map from numbers to grey levels.
    """
    size = framing.image_size
    images = np.empty((len(arrays), size, size, framing.channels), np.uint8)
    for image, array in zip(images, arrays, strict=True):
        image[...] = _frame_array(array, framing)
    return images


def _frame_array(array: Num[np.ndarray, "h w C"], framing: Framing) -> UInt8[np.ndarray, "H W C"]:
    if array.dtype == np.uint8 and framing.intensity.kind == "full":
        image = Image.fromarray(array if array.shape[2] == 3 else array[..., 0])
        return decode.decode_image(
            image, framing.image_size, framing.channels, framing.crop, FULL, framing.framing
        )
    levels = framing.intensity.map_values(array.astype(np.float64), 0, 255).astype(np.float32)
    bands = [
        cut_centre(Image.fromarray(levels[..., band]), framing.crop, framing.framing)
        for band in range(levels.shape[2])
    ]
    return decode.round_levels(bands, framing.image_size, framing.channels, framing.framing)
