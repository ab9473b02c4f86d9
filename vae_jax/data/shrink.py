"""Smaller images, for features of whole images and for the pictures of a report.

N images, H W image, h w smaller image, C channels.
"""

import numpy as np
from jaxtyping import Float, Float32, UInt8


def shrink_images(
    images: UInt8[np.ndarray, "N H W C"] | Float[np.ndarray, "N H W C"], max_side: int
) -> Float32[np.ndarray, "N h w C"]:
    """Averages square blocks of pixels, so that no side is longer than `max_side`.

    All blocks are of the same size, so rows and columns that fill no block at the right and at the lower
    border are cut off.

    Args:
        images: uint8 values in [0, 255], or floats, which keep their unit.
        max_side: longest side of the result, pixels.

    Returns:
        The means of the blocks; those of uint8 images are scaled to [0, 1].
    """
    n, height, width, channels = images.shape
    block = -(-max(height, width) // max_side)
    height, width = height // block, width // block
    blocks = images[:, : height * block, : width * block].reshape(
        n, height, block, width, block, channels
    )
    scale = 255 if images.dtype == np.uint8 else 1
    return blocks.mean((2, 4), dtype=np.float32) / np.float32(scale)
