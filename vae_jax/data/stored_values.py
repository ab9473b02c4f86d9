"""The values that an opened image holds: how many bits they have, their range, and its transparency.

An image with more than 8 bits is "deep": Pillow keeps its values in the modes I;16, I and F.
"""

import numpy as np
from PIL import Image, TiffImagePlugin

from vae_jax.data.frame_file import ValueRange, read_range
from vae_jax.data.intensity import (
    EIGHT_BITS,
    OPAQUE,
    REDUCED,
    RESCALED,
    SHAPE,
    TRANSPARENT,
    WHOLE,
    WINDOWED,
)

# Keys of `Image.info`, which copies and parts of an image inherit.
_IS_REDUCED = "vae_jax_is_reduced"  # of 16 bits per channel, 8 have been read
_RANGE = "vae_jax_range"  # the range of a frame of a medical file

_TYPE_MAX = {
    "I": 2**31 - 1
}  # largest value of a deep image, by Pillow's mode; 16 bits where it is missing
_SIZ = b"\xff\x4f\xff\x51"  # the first bytes of the data of a JPEG 2000
_SIZ_DEPTH = 42  # from there to the byte with the number of bits of the first channel


def note_storage(image: Image.Image, encoded: bytes) -> None:
    """Notes in an opened image, before its pixels are loaded, what only its file shows."""
    image.info[_IS_REDUCED] = _has_deep_colour(image, encoded)
    image.info[_RANGE] = read_range(image)


def is_deep(image: Image.Image) -> bool:
    """Returns whether an image has more than 8 bits, all of which have been read."""
    return image.mode.startswith(("I", "F"))


def is_signed(image: Image.Image) -> bool:
    """Returns whether a TIFF declares its values as whole numbers with a sign."""
    return getattr(image, "tag_v2", {}).get(TiffImagePlugin.SAMPLEFORMAT) == (2,)


def get_range(image: Image.Image) -> ValueRange:
    """Returns the stored values that are black and white with `data.intensity=full`."""
    frame_range = image.info.get(_RANGE)
    if frame_range is not None:
        return frame_range
    return ValueRange(0, _TYPE_MAX.get(image.mode, 65_535) if is_deep(image) else 255)


def measure_levels(image: Image.Image) -> tuple[int | float, ...]:
    """Returns a row of `Examples.stored_levels` for an image from `open_upright`.

    The values of an image with 8 bits are not measured.
    """
    if is_deep(image):
        values = np.asarray(image)
        black, white, is_window = get_range(image)
        kind = WHOLE if image.info.get(_RANGE) is None else WINDOWED if is_window else RESCALED
        return float(values.min()), float(values.max()), black, white, kind, OPAQUE
    transparency = _classify_transparency(image)
    if image.info.get(_IS_REDUCED):
        extrema = np.reshape(image.getextrema(), (-1, 2))
        low, high = 257 * extrema.min(), 257 * extrema.max()
        return int(low), int(high), 0, 65_535, REDUCED, transparency
    return (*EIGHT_BITS[:-1], transparency)


def show_on_background(image: Image.Image, background: str) -> Image.Image:
    """Returns an image without transparency: what shines through is black or white."""
    if is_deep(image) or not image.has_transparency_data:
        return image
    below = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(below, image.convert("RGBA")).convert("RGB")


def _classify_transparency(image: Image.Image) -> int:
    if not image.has_transparency_data:
        return OPAQUE
    counts = np.array(image.convert("RGBA").getchannel("A").histogram())
    if not counts[:255].any():
        return OPAQUE
    return SHAPE if counts[0] and counts[255] and not counts[1:255].any() else TRANSPARENT


def _has_deep_colour(image: Image.Image, encoded: bytes) -> bool:
    """Returns whether an image that is not loaded yet has 16 bits per channel, of which Pillow reads 8."""
    if is_deep(image):
        return False
    if image.format == "JPEG2000":
        start = encoded.find(_SIZ)
        return start >= 0 and (encoded[start + _SIZ_DEPTH] & 127) + 1 > 8
    for decoder, _, _, arguments in getattr(image, "tile", ()):
        if ";16" in str(arguments) or decoder == "SGI16":
            return True
        if decoder == "ppm" and arguments[-1] > 255:
            return True
    return False
