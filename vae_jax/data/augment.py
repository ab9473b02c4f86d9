"""Random flips, rotation and colour changes of training images, on the device and inside the step.

All geometric changes of an image are one affine map of the pixel grid and one bilinear interpolation. All
colour changes are one affine map of RGB. Every image has its own key, so its changes do not depend on its
batch.

x image [H, W, C] in [0, 1].
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float, Key

Augmentation = Callable[[Float[Array, "B H W C"], Key[Array, "B"]], Float[Array, "B H W C"]]

# RGB -> YIQ (luma of ITU-R BT.601, chroma of NTSC). A change of hue rotates the plane of I and Q, and a
# change of saturation scales it.
_RGB_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32
)
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ).astype(np.float32)


def make_augmentation(augment_config: ml_collections.ConfigDict) -> Augmentation:
    """Returns a function (x, keys) -> augmented x.

    A change whose probability or range is 0 takes no time.

    Args:
        augment_config: the `augment` group of the config; `strength` multiplies every probability and
            every range.
    """
    strengths = ml_collections.ConfigDict(
        {
            name: augment_config.strength * value
            for name, value in augment_config.items()
            if name != "strength"
        }
    )
    has_flips = strengths.horizontal_flip > 0 or strengths.vertical_flip > 0
    has_colour_changes = any(
        strengths[name] > 0 for name in ("brightness", "contrast", "saturation", "hue")
    )

    def augment_image(x: Float[Array, "H W C"], key: Key[Array, ""]) -> Float[Array, "H W C"]:
        geometry_key, colour_key = jax.random.split(key)
        if strengths.rotation > 0:
            x = _flip_and_rotate(x, geometry_key, strengths)
        elif has_flips:
            x = _flip(x, geometry_key, strengths)
        if has_colour_changes:
            x = _change_colour(x, colour_key, strengths)
        return x

    return jax.vmap(augment_image)


def draw_binary(x: Float[Array, "B H W C"], keys: Key[Array, "B"]) -> Float[Array, "B H W C"]:
    """Returns images of 0 and 1: a pixel is 1 with the probability of its grey value.

    Each image is drawn with its own key. 0 stays 0 and 1 stays 1.
    """
    return jax.vmap(jax.random.bernoulli)(keys, x).astype(jnp.float32)


def _draw_flips(
    key: Key[Array, ""], strengths: ml_collections.ConfigDict
) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
    """Returns whether the image is flipped horizontally and vertically."""
    horizontal_key, vertical_key = jax.random.split(key)
    return (
        jax.random.bernoulli(horizontal_key, strengths.horizontal_flip),
        jax.random.bernoulli(vertical_key, strengths.vertical_flip),
    )


def _flip(
    x: Float[Array, "H W C"], key: Key[Array, ""], strengths: ml_collections.ConfigDict
) -> Float[Array, "H W C"]:
    horizontal, vertical = _draw_flips(key, strengths)
    x = jnp.where(horizontal, x[:, ::-1], x)
    return jnp.where(vertical, x[::-1], x)


def _flip_and_rotate(
    x: Float[Array, "H W C"], key: Key[Array, ""], strengths: ml_collections.ConfigDict
) -> Float[Array, "H W C"]:
    """Flips the image and rotates it about its centre; beyond its border the image is mirrored."""
    flip_key, angle_key = jax.random.split(key)
    horizontal, vertical = _draw_flips(flip_key, strengths)
    max_angle = math.radians(strengths.rotation)
    angle = jax.random.uniform(angle_key, (), jnp.float32, -max_angle, max_angle)
    height, width = x.shape[0], x.shape[1]
    rows = (jnp.arange(height, dtype=jnp.float32) - (height - 1) / 2)[:, None]
    columns = (jnp.arange(width, dtype=jnp.float32) - (width - 1) / 2)[None, :]
    source_rows = jnp.cos(angle) * rows - jnp.sin(angle) * columns
    source_columns = jnp.sin(angle) * rows + jnp.cos(angle) * columns
    source_rows = jnp.where(vertical, -source_rows, source_rows) + (height - 1) / 2
    source_columns = jnp.where(horizontal, -source_columns, source_columns) + (width - 1) / 2
    return interpolate_bilinearly(x, source_rows, source_columns)


def interpolate_bilinearly(
    x: Float[Array, "H W C"], rows: Float[Array, "h w"], columns: Float[Array, "h w"]
) -> Float[Array, "h w C"]:
    """Returns the values of an image at real coordinates.

    The image is mirrored at its border without repeating the pixels of the edge, as in SciPy's and JAX's
    `map_coordinates(..., order=1, mode="mirror")`. JAX's function is not used: it gathers each channel
    separately, so that a whole augmentation takes 1.5 to 1.7 times as long on the CPU. Compiled together
    with the colour changes, it also returned wrong values for 2 pixels in 384 images of 96x96 pixels.
    """
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    row_0, row_1 = _mirror(top, x.shape[0]), _mirror(top + 1, x.shape[0])
    column_0, column_1 = _mirror(left, x.shape[1]), _mirror(left + 1, x.shape[1])
    upper = (1 - right) * x[row_0, column_0] + right * x[row_0, column_1]
    lower = (1 - right) * x[row_1, column_0] + right * x[row_1, column_1]
    return (1 - down) * upper + down * lower


def _mirror(position, size: int):
    """Returns the index of the pixel that a whole-numbered position along an axis refers to."""
    last = max(size - 1, 1)
    position = jnp.mod(position.astype(jnp.int32), 2 * last)
    return jnp.minimum(jnp.minimum(position, 2 * last - position), size - 1)


def _change_colour(
    x: Float[Array, "H W C"], key: Key[Array, ""], strengths: ml_collections.ConfigDict
) -> Float[Array, "H W C"]:
    """Changes brightness, contrast about the mean grey, saturation and hue, and clips to [0, 1]."""
    keys = jax.random.split(key, 4)

    def draw_factor(key, strength):
        return jax.random.uniform(key, (), jnp.float32, 1 - strength, 1 + strength)

    brightness = draw_factor(keys[0], strengths.brightness)
    contrast = draw_factor(keys[1], strengths.contrast)
    if x.shape[-1] == 1:
        x = brightness * x
        return jnp.clip(contrast * x + (1 - contrast) * jnp.mean(x), 0, 1)
    mean_grey = brightness * jnp.mean(x, axis=(0, 1)) @ _RGB_TO_YIQ[0]
    saturation = draw_factor(keys[2], strengths.saturation)
    max_angle = 2 * math.pi * strengths.hue
    angle = jax.random.uniform(keys[3], (), jnp.float32, -max_angle, max_angle)
    cos, sin = saturation * jnp.cos(angle), saturation * jnp.sin(angle)
    zero, one = jnp.zeros(()), jnp.ones(())
    change_of_yiq = jnp.stack(
        [
            jnp.stack([one, zero, zero]),
            jnp.stack([zero, cos, -sin]),
            jnp.stack([zero, sin, cos]),
        ]
    )
    # Hue and saturation leave greys unchanged, so the grey offset of the contrast can be added afterwards.
    matrix = brightness * contrast * (_YIQ_TO_RGB @ change_of_yiq @ _RGB_TO_YIQ)
    return jnp.clip(x @ matrix.T + (1 - contrast) * mean_grey, 0, 1)
