"""Images as rows of pixel values, for methods that work on vectors.

N images, H W image, C channels, D pixel values.
"""

import numpy as np
from jaxtyping import Float32, UInt8

from vae_jax.data.shrink import shrink_images

MAX_SIDE = 64  # longest side of an image whose pixels become a row, pixels


def flatten_pixels(
    images: UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"],
) -> Float32[np.ndarray, "N D"]:
    """Returns one row of pixel values per image; images with longer sides than `MAX_SIDE` are shrunk.

    Args:
        images: uint8 as stored, or float32 in [0, 1].
    """
    return shrink_images(images, MAX_SIDE).reshape(len(images), -1)
