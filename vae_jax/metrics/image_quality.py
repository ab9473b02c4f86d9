"""How similar two images are, one number per example. Everything is jnp and runs inside the scoring step.

Images lie in [0, 1].
Names: `B` batch, `H W` image, `C` channels, `h w` the pixels around which a whole window fits.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Image = Float[Array, "B H W C"]

# Constants of Wang et al. 2004.
_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2

# Weights of the scales, the finest first (Wang, Simoncelli and Bovik 2003).
_SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333], np.float32)


def mse(x: Image, y: Image) -> Float[Array, "B"]:
    """Returns the mean squared error over pixels and channels."""
    return jnp.mean(jnp.square(x - y), axis=(1, 2, 3))


def psnr(x: Image, y: Image) -> Float[Array, "B"]:
    """Returns the peak signal-to-noise ratio for a data range of 1, in dB.

    It is limited to 100 dB, the value at an error of 1e-10. A smaller error is only float32 rounding, and
    the ratio of identical images would be infinite.
    """
    return -10 * jnp.log10(jnp.maximum(mse(x, y), 1e-10))


def ssim(x: Image, y: Image) -> Float[Array, "B"]:
    """Returns the structural similarity, the mean of `ssim_map`; in [-1, 1], and 1 for equal images."""
    return jnp.mean(ssim_map(x, y), axis=(1, 2, 3))


def ssim_map(x: Image, y: Image) -> Float[Array, "B h w C"]:
    """Returns the structural similarity at each pixel around which a whole window fits.

    The window is a Gaussian of 11 x 11 pixels with sigma 1.5; K1 = 0.01, K2 = 0.03. Each channel is
    computed separately. For an image with a side below 11 pixels the window is the largest odd one that
    fits, with the same sigma.

    Source: Wang, Bovik, Sheikh and Simoncelli 2004, equation 13.
    """
    luminance, contrast_structure = _components(x, y)
    return luminance * contrast_structure


def ms_ssim(x: Image, y: Image, num_scales: int = 5) -> Float[Array, "B"]:
    """Returns the multi-scale structural similarity, in [0, 1], as a mean over channels.

    It uses contrast and structure at every scale and luminance at the coarsest. The next scale averages
    blocks of 2 x 2 pixels. A mean below 0 counts as 0, because it has no real power. With fewer than five
    scales the weights of the finest ones are divided by their sum.

    Source: Wang, Simoncelli and Bovik 2003, equation 7.

    Raises:
        ValueError: if the image is too small for the full window at the coarsest scale.
    """
    min_side = 2 ** (num_scales - 1) * _WINDOW
    if min(x.shape[1:3]) < min_side:
        raise ValueError(
            f"images are {x.shape[1]} x {x.shape[2]}; MS-SSIM of {num_scales} scales needs at least "
            f"{min_side} x {min_side} pixels"
        )
    weights = _SCALE_WEIGHTS[:num_scales] / _SCALE_WEIGHTS[:num_scales].sum()
    product = jnp.ones(())
    for scale, weight in enumerate(weights):
        if scale:
            x, y = _halve(x), _halve(y)
        luminance, contrast_structure = _components(x, y)
        is_coarsest = scale == num_scales - 1
        similarity = luminance * contrast_structure if is_coarsest else contrast_structure
        product *= jnp.maximum(jnp.mean(similarity, axis=(1, 2)), 0) ** weight
    return jnp.mean(product, axis=-1)


def _components(x: Image, y: Image) -> tuple[Float[Array, "B h w C"], Float[Array, "B h w C"]]:
    """Returns luminance and the product of contrast and structure (equations 6, 9 and 10 of 2004)."""
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance_x = _smooth(x * x) - mean_x * mean_x
    variance_y = _smooth(y * y) - mean_y * mean_y
    covariance = _smooth(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    contrast_structure = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    return luminance, contrast_structure


def _smooth(x: Image) -> Float[Array, "B h w C"]:
    """Returns the Gaussian-weighted mean at each pixel around which a whole window fits.

    It is computed as two products with banded matrices. On a CPU these take half the time of shifted sums
    and a tenth of the time of a convolution.
    """
    height, width = x.shape[1:3]
    size = min(_WINDOW, (min(height, width) - 1) // 2 * 2 + 1)
    # Variances are small differences of large squares; TF32 would lose them on a GPU.
    exact = jax.lax.Precision.HIGHEST
    rows, columns = _band(height, size), _band(width, size)
    x = jnp.einsum("hH,bHWc->bhWc", rows, x, precision=exact)
    return jnp.einsum("wW,bhWc->bhwc", columns, x, precision=exact)


def _band(length: int, size: int) -> Float[np.ndarray, "shorter length"]:
    """Returns the matrix that maps a line of pixels to its weighted means over windows of `size`."""
    offset = np.arange(size) - size // 2
    weights = np.exp(-np.square(offset / _SIGMA) / 2)
    matrix = np.zeros((length - size + 1, length), np.float32)
    for row, line in enumerate(matrix):
        line[row : row + size] = weights / weights.sum()
    return matrix


def _halve(x: Image) -> Float[Array, "B h w C"]:
    """Returns the means of blocks of 2 x 2 pixels; the last line of an odd side is left out."""
    batch, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
