"""The observation `bands`: the strength of an image's texture at each scale and place, without learning.

The error of an autoencoder on pixels is dominated by large structures, but many anomalies are changes of
texture. The log energies of band-pass images show such changes at every scale alike.

N or B images, H W image, C channels, S side of the resized image, h w cells of a grid, K channels of the
observation.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from scipy import ndimage

from vae_jax.data.batches import map_rows, to_unit
from vae_jax.data.image_store import Images

SIGMAS = (0.7, 1.4, 2.8, 5.6, 11.2)  # pixels of the resized image
CELL = 8  # side of a cell, pixels of the resized image
NUM_BANDS = len(SIGMAS)
NUM_CHANNELS = NUM_BANDS + 1

# Products of matrices in full float32; the default of some GPUs would spoil small energies.
_PRECISION = jax.lax.Precision.HIGHEST
# Lower limit of the energy of images with variance 1. It is below the energy of 8-bit rounding in an image
# of low contrast.
_MIN_ENERGY = 1e-6
# Limits of a batch: images, and pixels of the grey image.
_MAX_IMAGES, _MAX_PIXELS = 256, 2**20
# An image in [0, 1] with a smaller standard deviation is flat. In an image of 1024 x 1024 pixels, one pixel
# that differs by one of 256 grey levels gives 4e-6; rounding in float32 gives less than 1e-7.
_MIN_DEVIATION = 1e-6


def compute_bands(x: Float[Array, "B H W C"], size: int) -> Float[Array, "B h w K"]:
    """Computes the log energy of each band in each cell, and the mean grey level of each cell.

    The image is converted to grey (mean of the channels), resized to a square, shifted to mean 0 and scaled
    to variance 1, so brightness and exposure have no influence; a flat image is 0. The bands are the
    differences of consecutive images in the sequence: the image itself, then the image blurred by a
    Gaussian of each of `SIGMAS`. The energy of a band is its mean square over a cell of 8 x 8 pixels;
    cells at the right and the lower edge may be smaller.

    Args:
        x: images in [0, 1].
        size: side of the resized image, pixels. It is a constant of a compiled program.

    Returns:
        The log energies of the five bands, from fine to coarse, and as the last channel the mean of the
        normalised grey image. Each side has `size / CELL` cells, rounded up.
    """
    grey = _normalise_contrast(_resize_grey(x, size))
    blurs = (_make_blur_matrix(size, sigma) for sigma in SIGMAS)
    from_fine_to_coarse = [grey, *(_multiply_both_sides(grey, blur) for blur in blurs)]
    pool = _make_pool_matrix(size)
    energies = [
        _multiply_both_sides(jnp.square(finer - coarser), pool)
        for finer, coarser in itertools.pairwise(from_fine_to_coarse)
    ]
    means = _multiply_both_sides(grey, pool)
    return jnp.stack([*(jnp.log(energy + _MIN_ENERGY) for energy in energies), means], axis=-1)


def compute_stored_bands(images: UInt8[Images, "N H W C"]) -> Float[np.ndarray, "N h w K"]:
    """Computes the bands of stored images at their own height, in batches, so that memory is bounded."""
    size = images.shape[1]
    batch_size = min(_MAX_IMAGES, max(1, _MAX_PIXELS // size**2))
    return map_rows(lambda batch: _compute_bands_of_batch(batch, size), batch_size, images)


@functools.partial(jax.jit, static_argnames="size")
def _compute_bands_of_batch(
    images: UInt8[Array | np.ndarray, "B H W C"], size: int
) -> Float[Array, "B h w K"]:
    return compute_bands(to_unit(images), size)


def _resize_grey(x: Float[Array, "B H W C"], size: int) -> Float[Array, "B S S"]:
    """Returns the square grey image, minus its first pixel: rounding is then small where contrast is."""
    grey = x.astype(jnp.float32).mean(axis=3)
    grey = grey - grey[:, :1, :1]
    # An equal size changes nothing; a shrunk image is anti-aliased.
    return jax.image.resize(
        grey, (grey.shape[0], size, size), "linear", antialias=True, precision=_PRECISION
    )


def _normalise_contrast(grey: Float[Array, "B S S"]) -> Float[Array, "B S S"]:
    """Returns each image with mean 0 and variance 1; a flat image becomes 0."""
    centred = grey - grey.mean(axis=(1, 2), keepdims=True)
    deviation = jnp.sqrt(jnp.square(centred).mean(axis=(1, 2), keepdims=True))
    is_flat = deviation < _MIN_DEVIATION
    return jnp.where(is_flat, 0.0, centred / jnp.where(is_flat, 1.0, deviation))


def _multiply_both_sides(
    x: Float[Array, "B S S"], matrix: Float[np.ndarray, "cells S"]
) -> Float[Array, "B cells cells"]:
    """Returns matrix x matrix^T for each image."""
    across = jnp.einsum("bij,wj->biw", x, jnp.asarray(matrix), precision=_PRECISION)
    return jnp.einsum("hi,biw->bhw", jnp.asarray(matrix), across, precision=_PRECISION)


@functools.lru_cache(maxsize=32)
def _make_blur_matrix(length: int, sigma: float) -> Float[np.ndarray, "length length"]:
    """Makes the matrix that blurs a line of pixels; a matrix product is faster than a convolution."""
    blurred = ndimage.gaussian_filter1d(np.eye(length), sigma, axis=0, mode="reflect")
    return blurred.astype(np.float32)


@functools.lru_cache(maxsize=32)
def _make_pool_matrix(length: int) -> Float[np.ndarray, "cells length"]:
    """Makes the matrix that maps a line of pixels to the means of its cells."""
    cell = np.arange(length) // CELL
    is_member = cell == np.arange(cell[-1] + 1)[:, None]
    return (is_member / is_member.sum(axis=1, keepdims=True)).astype(np.float32)
