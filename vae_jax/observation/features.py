"""Features: what a network trained on photographs sees at each place of an image.

The outputs of three blocks of EfficientNet-Lite0, smoothed and brought to one grid, describe texture, parts
and objects. They are not standardised here.

Shapes: B batch, H W image, C channels, g grid, h w a map of the network.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from vae_jax.observation.efficientnet import BLOCKS, EfficientNetLite0
from vae_jax.runtime.convolutions import choose_convolutions

LAYERS = (4, 10, 15)  # the last blocks with strides 8, 16 and 32
NUM_CHANNELS = sum(BLOCKS[layer].outputs for layer in LAYERS)  # 40 + 112 + 320 = 472
NUM_POOLED = BLOCKS[LAYERS[-1]].outputs  # 320

# On the CPU so many images go through the network at a time: the widest maps of more would not fit into the
# caches, and 16 images of 224 pixels at once take 1.5 times as long.
_CPU_CHUNK = 2


def compute_features(
    params, x: Float[Array, "B H W C"], size: int, grid: int, dtype: DTypeLike = jnp.float32
) -> tuple[Float[Array, "B {grid} {grid} 472"], Float[Array, "B 2 320"]]:
    """Computes the features of images.

    Args:
        params: `Weights.params`.
        x: images with values in [0, 1]; grey (C = 1) or colour (C = 3).
        size: height and width to which the images are resized for the network, pixels.
        grid: number of places of the result in each direction.
        dtype: dtype of the network; bfloat16 is faster on accelerators. The results are float32.

    Returns:
        The features of each place, and two rows per image that summarise the deepest map: its mean, and
        the mean of its left half minus that of its right half (the middle column is left out).
    """

    def compute(part):
        return _compute_part(params, part, size, grid, dtype)

    if choose_convolutions() != "cpu":
        return compute(x)
    chunk = math.gcd(len(x), _CPU_CHUNK)
    if chunk == len(x):
        return compute(x)
    features, pooled = lax.map(compute, x.reshape(-1, chunk, *x.shape[1:]))
    return features.reshape(-1, *features.shape[2:]), pooled.reshape(-1, *pooled.shape[2:])


def _compute_part(params, x, size: int, grid: int, dtype: DTypeLike):
    images = jax.image.resize(x, (x.shape[0], size, size, x.shape[3]), "linear", antialias=True)
    images = jnp.broadcast_to(images, (x.shape[0], size, size, 3))
    network = EfficientNetLite0(LAYERS, dtype)
    maps = network.apply({"params": params}, (images * 255 - 127) / 128)
    maps = [y.astype(jnp.float32) for y in maps]
    features = [_resize_to_grid(_smooth(y), grid) for y in maps]
    return jnp.concatenate(features, axis=3), _summarise(maps[-1])


def _smooth(y: Float[Array, "B h w C"]) -> Float[Array, "B h w C"]:
    """Returns the mean of the 3 x 3 places around each place; places outside the map do not count."""

    def total(values):
        window = (1, 3, 3, 1)
        return lax.reduce_window(values, 0.0, lax.add, window, (1, 1, 1, 1), "SAME")

    return total(y) / total(jnp.ones((1, *y.shape[1:3], 1))).astype(y.dtype)


def _resize_to_grid(y: Float[Array, "B h w C"], grid: int) -> Float[Array, "B {grid} {grid} C"]:
    """Brings a map to the grid: by means of cells where they are whole, otherwise by interpolation."""
    batch, side, _, channels = y.shape
    if side % grid == 0:
        factor = side // grid
        return y.reshape(batch, grid, factor, grid, factor, channels).mean(axis=(2, 4))
    return jax.image.resize(y, (batch, grid, grid, channels), "linear", antialias=True)


def _summarise(y: Float[Array, "B h w C"]) -> Float[Array, "B 2 C"]:
    half = y.shape[2] // 2
    mean = y.mean(axis=(1, 2))
    if half == 0:  # a single column has no halves
        return jnp.stack([mean, jnp.zeros_like(mean)], axis=1)
    left, right = y[:, :, :half].mean(axis=(1, 2)), y[:, :, -half:].mean(axis=(1, 2))
    return jnp.stack([mean, left - right], axis=1)
