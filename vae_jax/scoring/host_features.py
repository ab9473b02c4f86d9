"""What some scores read off the stored image and JAX cannot: one number an image, on the host.

N images.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.scoring.probabilistic import png_bits

# Name of a score -> images -> one number each, which the score finds under its name in `view.host`.
HOST_FEATURES: dict[str, Callable[[UInt8[np.ndarray, "N H W C"]], Float[np.ndarray, "N"]]] = {
    "input_complexity": png_bits
}
