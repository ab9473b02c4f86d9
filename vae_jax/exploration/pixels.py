"""Pixels as one row an image, for methods that know nothing of images.

N images, H W image, C channels.
"""

import numpy as np
from jaxtyping import Float32, UInt8

from vae_jax.data.shrink import shrink_images

LARGEST = 64  # side in pixels that rows are made at


def flat(
    images: UInt8[np.ndarray, "N H W C"] | Float32[np.ndarray, "N H W C"],
) -> Float32[np.ndarray, "N D"]:
    """Returns one row an image, at most `LARGEST` pixels a side."""
    return shrink_images(images, LARGEST).reshape(len(images), -1)
