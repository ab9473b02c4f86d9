"""Texture features without learning: the energy of an image at each scale and place.

The score of a pixel autoencoder is dominated by large errors, so by large structures. Anomalies in medical
images are often changes of texture. Any model should be better than this baseline.

N images, H W image, C channels, S bands, h w cells of a grid, F = S h w features.
"""

import itertools

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from vae_jax.data.image_store import Images

_SIGMAS = (1.0, 2.0, 4.0, 8.0)  # pixels
_CELL = 8  # side of a cell, pixels
_CHUNK = 256  # images in memory as floats at the same time
# Lower limit of the energy of images with variance 1. It is below the energy of 8-bit rounding in an image
# of low contrast.
_MIN_ENERGY = 1e-6


def compute_features(images: UInt8[Images, "N H W C"]) -> Float[np.ndarray, "N F"]:
    """Computes the log energy of each band in each cell.

    The image is converted to grey (mean of the channels), shifted to mean 0 and scaled to variance 1, so
    brightness and exposure have no influence. The bands are the differences of consecutive images in the
    sequence: the image itself, then the image blurred by a Gaussian of sigma 1, 2, 4 and 8 pixels. The
    energy of a band is its mean square over a cell of 8 x 8 pixels; cells at the right and the lower edge
    may be smaller.
    """
    height, width = images.shape[1:3]
    blurs = [(_make_blur_matrix(height, s), _make_blur_matrix(width, s)) for s in _SIGMAS]
    pools = _make_pool_matrix(height), _make_pool_matrix(width)
    parts = [
        _compute_energies(images[start : start + _CHUNK], blurs, pools)
        for start in range(0, len(images), _CHUNK)
    ]
    return np.concatenate(parts)


def _compute_energies(images, blurs, pools) -> Float[np.ndarray, "N F"]:
    x = images.mean(axis=3, dtype=np.float32)
    x -= x.mean(axis=(1, 2), keepdims=True)
    deviation = x.std(axis=(1, 2), keepdims=True)
    x /= np.where(deviation > 0, deviation, 1)
    from_fine_to_coarse = [x, *(_multiply_both_sides(x, *blur) for blur in blurs)]
    energies = [
        _multiply_both_sides(np.square(finer - coarser), *pools)
        for finer, coarser in itertools.pairwise(from_fine_to_coarse)
    ]
    return np.log(np.stack(energies, axis=1) + _MIN_ENERGY).reshape(len(images), -1)


def _multiply_both_sides(
    x: Float[np.ndarray, "N H W"], rows: Float[np.ndarray, "h H"], columns: Float[np.ndarray, "w W"]
) -> Float[np.ndarray, "N h w"]:
    """Returns rows x columns^T for each image, by two large products because many small ones are slow."""
    across = x.reshape(-1, x.shape[2]) @ columns.T
    transposed = across.reshape(*x.shape[:2], -1).swapaxes(1, 2)
    down = transposed.reshape(-1, x.shape[1]) @ rows.T
    return down.reshape(len(x), len(columns), -1).swapaxes(1, 2)


def _make_blur_matrix(length: int, sigma: float) -> Float[np.ndarray, "length length"]:
    """Makes the matrix that blurs a line of pixels; a matrix product is faster than a convolution."""
    blurred = ndimage.gaussian_filter1d(np.eye(length), sigma, axis=0, mode="reflect")
    return blurred.astype(np.float32)


def _make_pool_matrix(length: int) -> Float[np.ndarray, "cells length"]:
    """Makes the matrix that maps a line of pixels to the means of its cells."""
    cell = np.arange(length) // _CELL
    is_member = cell == np.arange(cell[-1] + 1)[:, None]
    return (is_member / is_member.sum(axis=1, keepdims=True)).astype(np.float32)
