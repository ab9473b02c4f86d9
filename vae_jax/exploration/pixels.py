"""Pixels as one row an image, for methods that know nothing of images.

N images, H W image, C channels.
"""

import numpy as np
from jaxtyping import Float32, UInt8

LARGEST = 64  # side in pixels that rows are made at


def shrink(
    images: UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"], largest: int = LARGEST
) -> Float32[np.ndarray, "N h w C"]:
    """Returns images in [0, 1], whole blocks of pixels averaged until no side is longer than `largest`.

    A ragged border is cut off.

    Args:
        images: uint8 as stored, or float32 in [0, 1].
        largest: side, pixels.
    """
    n, height, width, channels = images.shape
    block = -(-max(height, width) // largest)
    height, width = height // block, width // block
    cut = images[:, : height * block, : width * block]
    parts = cut.reshape(n, height, block, width, block, channels)
    scale = 255 if images.dtype == np.uint8 else 1
    return parts.mean((2, 4), dtype=np.float32) / np.float32(scale)


def flat(
    images: UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"],
) -> Float32[np.ndarray, "N D"]:
    """Returns one row an image, at most `LARGEST` pixels a side."""
    return shrink(images).reshape(len(images), -1)
