"""Texture without learning: how much happens at each scale and place of an image.

A pixel autoencoder is judged by large errors, so by large structures; anomalies in medical images are
often changes of texture. Any model should beat this.

N images, H W image, C channels, S bands, h w cells of a grid, F = S h w features.
"""

import itertools

import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from vae_jax.data.image_store import Images

_SIGMAS = (1.0, 2.0, 4.0, 8.0)  # pixels
_CELL = 8  # pixels, side of a cell
_CHUNK = 256  # images in memory as floats
# Of unit-variance images: below the energy of 8-bit rounding in an image of low contrast.
_FLOOR = 1e-6


def features(images: UInt8[Images, "N H W C"]) -> Float[np.ndarray, "N F"]:
    """Returns the log energy of each band in each cell.

    The image is turned grey (mean of the channels), shifted to mean 0 and scaled to variance 1, so that
    light and exposure drop out. A band is the difference of two neighbours in the row: the image,
    the image blurred by a Gaussian of sigma 1, 2, 4 and 8 pixels. Its energy is the mean square over a
    cell of 8 x 8 pixels; cells at the right and lower edge may be smaller.
    """
    height, width = images.shape[1:3]
    blurs = [(_blur_matrix(height, s), _blur_matrix(width, s)) for s in _SIGMAS]
    pools = _pool_matrix(height), _pool_matrix(width)
    parts = [
        _energies(images[start : start + _CHUNK], blurs, pools)
        for start in range(0, len(images), _CHUNK)
    ]
    return np.concatenate(parts)


def _energies(images, blurs, pools) -> Float[np.ndarray, "n F"]:
    x = images.mean(axis=3, dtype=np.float32)
    x -= x.mean(axis=(1, 2), keepdims=True)
    deviation = x.std(axis=(1, 2), keepdims=True)
    x /= np.where(deviation > 0, deviation, 1)
    row = [x, *(_along_both(x, *blur) for blur in blurs)]
    energies = [
        _along_both(np.square(finer - coarser), *pools)
        for finer, coarser in itertools.pairwise(row)
    ]
    return np.log(np.stack(energies, axis=1) + _FLOOR).reshape(len(images), -1)


def _along_both(
    x: Float[np.ndarray, "n H W"], rows: Float[np.ndarray, "h H"], columns: Float[np.ndarray, "w W"]
) -> Float[np.ndarray, "n h w"]:
    """Returns rows x columns^T of each image; in two large products, since many small ones are slow."""
    across = x.reshape(-1, x.shape[2]) @ columns.T
    turned = across.reshape(*x.shape[:2], -1).swapaxes(1, 2)
    down = turned.reshape(-1, x.shape[1]) @ rows.T
    return down.reshape(len(x), len(columns), -1).swapaxes(1, 2)


def _blur_matrix(length: int, sigma: float) -> Float[np.ndarray, "length length"]:
    """Returns the matrix that blurs a line of pixels; a product of matrices outruns a convolution."""
    blurred = ndimage.gaussian_filter1d(np.eye(length), sigma, axis=0, mode="reflect")
    return blurred.astype(np.float32)


def _pool_matrix(length: int) -> Float[np.ndarray, "cells length"]:
    """Returns the matrix that takes a line of pixels to the means of its cells."""
    cell = np.arange(length) // _CELL
    member = cell == np.arange(cell[-1] + 1)[:, None]
    return (member / member.sum(axis=1, keepdims=True)).astype(np.float32)
