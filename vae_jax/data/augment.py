"""Random flips, rotation and colour changes, on the device, inside the step.

Geometry is one affine map of the pixel grid and one bilinear gather; colour is one affine map of RGB.
Every image has its own key, so what happens to it does not depend on its batch.

x image [B, H, W, C] in [0, 1]; keys [B] one typed key an image.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Key

Augmentation = Callable[[Float[Array, "B H W C"], Key[Array, "B"]], Float[Array, "B H W C"]]

# RGB -> YIQ (ITU-R BT.601 luma, NTSC chroma): hue turns the I, Q plane, saturation scales it.
_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32
)
_FROM_YIQ = np.linalg.inv(_TO_YIQ).astype(np.float32)


def make_augmentation(augment: ml_collections.ConfigDict) -> Augmentation:
    """Returns (x, keys) -> augmented x, as `augment` says; what is 0 there costs nothing.

    `augment.strength` multiplies every probability and every range.
    """
    augment = ml_collections.ConfigDict(
        {name: augment.strength * value for name, value in augment.items() if name != "strength"}
    )
    flips = augment.horizontal_flip > 0 or augment.vertical_flip > 0
    colour = any(augment[name] > 0 for name in ("brightness", "contrast", "saturation", "hue"))

    def one(x: Float[Array, "H W C"], key: Key[Array, ""]) -> Float[Array, "H W C"]:
        geometry_key, colour_key = jax.random.split(key)
        if augment.rotation > 0:
            x = _flip_and_rotate(x, geometry_key, augment)
        elif flips:
            x = _flip(x, geometry_key, augment)
        if colour:
            x = _change_colour(x, colour_key, augment)
        return x

    return jax.vmap(one)


def _draw_flips(key, augment) -> tuple[Array, Array]:
    horizontal_key, vertical_key = jax.random.split(key)
    return (
        jax.random.bernoulli(horizontal_key, augment.horizontal_flip),
        jax.random.bernoulli(vertical_key, augment.vertical_flip),
    )


def _flip(x, key, augment):
    horizontal, vertical = _draw_flips(key, augment)
    x = jnp.where(horizontal, x[:, ::-1], x)
    return jnp.where(vertical, x[::-1], x)


def _flip_and_rotate(x, key, augment):
    """Flips and turns about the centre; beyond the border the image is mirrored."""
    flip_key, angle_key = jax.random.split(key)
    horizontal, vertical = _draw_flips(flip_key, augment)
    limit = math.radians(augment.rotation)
    angle = jax.random.uniform(angle_key, (), jnp.float32, -limit, limit)
    height, width = x.shape[0], x.shape[1]
    rows = (jnp.arange(height, dtype=jnp.float32) - (height - 1) / 2)[:, None]
    columns = (jnp.arange(width, dtype=jnp.float32) - (width - 1) / 2)[None, :]
    source_rows = jnp.cos(angle) * rows - jnp.sin(angle) * columns
    source_columns = jnp.sin(angle) * rows + jnp.cos(angle) * columns
    source_rows = jnp.where(vertical, -source_rows, source_rows) + (height - 1) / 2
    source_columns = jnp.where(horizontal, -source_columns, source_columns) + (width - 1) / 2
    return _bilinear(x, source_rows, source_columns)


def _bilinear(x, rows, columns):
    """Samples x at real coordinates, mirrored at the border without repeating the edge."""
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    row_0, row_1 = _mirror(top, x.shape[0]), _mirror(top + 1, x.shape[0])
    column_0, column_1 = _mirror(left, x.shape[1]), _mirror(left + 1, x.shape[1])
    upper = (1 - right) * x[row_0, column_0] + right * x[row_0, column_1]
    lower = (1 - right) * x[row_1, column_0] + right * x[row_1, column_1]
    return (1 - down) * upper + down * lower


def _mirror(position, size: int):
    last = max(size - 1, 1)
    position = jnp.mod(position.astype(jnp.int32), 2 * last)
    return jnp.minimum(jnp.minimum(position, 2 * last - position), size - 1)


def _change_colour(x, key, augment):
    """Brightness, contrast about the image's mean grey, saturation, hue; clipped to [0, 1]."""
    keys = jax.random.split(key, 4)

    def factor(key, strength):
        return jax.random.uniform(key, (), jnp.float32, 1 - strength, 1 + strength)

    brightness = factor(keys[0], augment.brightness)
    contrast = factor(keys[1], augment.contrast)
    if x.shape[-1] == 1:
        x = brightness * x
        return jnp.clip(contrast * x + (1 - contrast) * jnp.mean(x), 0, 1)
    mean_grey = brightness * jnp.mean(x, axis=(0, 1)) @ _TO_YIQ[0]
    saturation = factor(keys[2], augment.saturation)
    turn = 2 * math.pi * augment.hue
    angle = jax.random.uniform(keys[3], (), jnp.float32, -turn, turn)
    cos, sin = saturation * jnp.cos(angle), saturation * jnp.sin(angle)
    zero, one = jnp.zeros(()), jnp.ones(())
    chroma = jnp.stack(
        [
            jnp.stack([one, zero, zero]),
            jnp.stack([zero, cos, -sin]),
            jnp.stack([zero, sin, cos]),
        ]
    )
    # Chroma is turned and scaled about the grey axis, so the grey offset of the contrast is kept.
    matrix = brightness * contrast * (_FROM_YIQ @ chroma @ _TO_YIQ)
    return jnp.clip(x @ matrix.T + (1 - contrast) * mean_grey, 0, 1)
