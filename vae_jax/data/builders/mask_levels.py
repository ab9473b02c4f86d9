"""Which stored values of a mask mark a pixel as abnormal; the marks are stored as black and white.

The rule is one of

    auto      every value above 0, also dark colours of paint or of a palette. Files with lossy
              compression have noise above 0, so their values above half of the range count.
    half      grey levels above half of the range; for masks with smooth borders.
    above:N   stored values above N.
    below:N   stored values below N.

The value of a coloured pixel is its largest channel; that of a transparent pixel is 0.
"""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int
from PIL import Image

from vae_jax.data import decode
from vae_jax.data.image_file import open_image
from vae_jax.errors import UserError

_LOSSY = {"JPEG", "MPO", "JPEG2000", "WEBP", "AVIF"}
_HALF = 127
_MIDDLE = (63, 192)  # values of a lossy file between these are neither black nor white


@dataclasses.dataclass(frozen=True)
class StandardMask:
    """A mask that marks what its rule says.

    Attributes:
        encoded: the stored mask if its marked pixels are those brighter than half; otherwise a mask that is
            black and white.
        content: bytes that depend only on the stored mask and on the marked pixels, for a digest.
        num_marked: number of abnormal pixels.
        num_pixels: number of pixels.
    """

    encoded: bytes
    content: bytes
    num_marked: int
    num_pixels: int


def standardise_masks(masks: Sequence[bytes], rule: str) -> StandardMask:
    """Applies a rule to the encoded masks of one image; a pixel is abnormal if one of them marks it.

    Raises:
        ValueError: if the values of a mask cannot be understood, or the sizes of the masks differ.
        Exception: whatever Pillow raises for a damaged file.
    """
    marks = [_mark_pixels(mask, rule) for mask in masks]
    if len({mark.shape for mark in marks}) > 1:
        sizes = " and ".join(f"{mark.shape[1]}x{mark.shape[0]}" for mark in marks)
        raise ValueError(f"several masks with {sizes} pixels; give them the size of the image")
    marked = np.any(marks, axis=0)
    counts = int(marked.sum()), marked.size
    if len(masks) == 1 and np.array_equal(decode.decode_whole_mask(masks[0]) == 1, marked):
        return StandardMask(masks[0], masks[0], *counts)
    file = io.BytesIO()
    Image.fromarray(marked).save(file, "PNG")
    # Compressed bytes depend on the version of zlib, so the digest is that of the pixels.
    content = "{}x{}\0".format(*marked.shape).encode() + np.packbits(marked).tobytes()
    return StandardMask(file.getvalue(), content, *counts)


def check_share(num_marked: int, num_pixels: int) -> None:
    """Refuses masks that mark most pixels, because they may mark what is normal.

    Args:
        num_marked: number of marked pixels of all masks of a dataset.
        num_pixels: number of all pixels of these masks.

    Raises:
        UserError: if more than half of the pixels are marked.
    """
    if 2 * num_marked > num_pixels:
        raise UserError(
            f"{num_marked / num_pixels:.0%} of the pixels of all masks have a value above 0, so the masks "
            "may mark what is normal; choose with --config.data.mask_values which stored values are "
            "abnormal: below:N, above:N, or above:0 if the masks are right"
        )


def _mark_pixels(encoded: bytes, rule: str) -> Bool[np.ndarray, "height width"]:
    """Returns which pixels of one mask are abnormal."""
    if rule == "half":
        marked = decode.decode_whole_mask(encoded) == 1
        _check_brightness(marked, _read_values(encoded))
        return marked
    values = _read_values(encoded)
    if rule == "auto":
        with open_image(io.BytesIO(encoded)) as image:
            is_lossy = image.format in _LOSSY
        return _mark_lossy(values) if is_lossy else values > 0
    side, _, level = rule.partition(":")
    return values > int(level) if side == "above" else values < int(level)


def _mark_lossy(
    values: Int[np.ndarray, "height width"],
) -> Bool[np.ndarray, "height width"]:
    marked = values > _HALF
    _check_brightness(marked, values)
    low, high = _MIDDLE
    num_middle = ((values > low) & (values < high)).sum()
    if num_middle > (values >= high).sum():
        raise ValueError(
            "several levels in a file with lossy compression, which changes them; store it as PNG"
        )
    return marked


def _check_brightness(
    marked: Bool[np.ndarray, "height width"], values: Int[np.ndarray, "height width"]
) -> None:
    if values.max() > 0 and not marked.any():
        raise ValueError(
            f"no pixel is brighter than half (highest value {values.max()}); store it as 0 and 255"
        )


def _read_values(encoded: bytes) -> Int[np.ndarray, "height width"]:
    """Returns the stored value of each pixel of the upright mask."""
    image = decode.open_upright(encoded)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode == "L" or image.mode.startswith("I"):
        return np.asarray(image).astype(np.int64)
    has_alpha = image.has_transparency_data
    pixels = np.asarray(image.convert("RGBA")).astype(np.int64)
    alpha = pixels[..., 3]
    values = np.where(alpha > 0, pixels[..., :3].max(axis=-1), 0)
    if has_alpha and values.max() == 0 and alpha.min() < alpha.max():
        raise ValueError(
            "all pixels are black and only their transparency differs; store the abnormal pixels as white, "
            "without transparency"
        )
    return values
