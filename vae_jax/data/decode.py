"""An encoded image -> uint8 pixels at the size that the model sees.

The values of an image with more than 8 bits are resized first, and rounded to 8 bits last.

H W image that the model sees, C channels (1 grey, 3 RGB).
"""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageOps

from vae_jax.data import stored_values
from vae_jax.data.image_file import open_image
from vae_jax.data.intensity import FULL, Intensity
from vae_jax.data.mask_regions import shrink_mask
from vae_jax.data.squaring import cut_centre, fit_square
from vae_jax.validate import HIGHEST_MAX_PIXELS

# Part of the names of cached files: raise it whenever a function below returns other pixels than before.
VERSION = 3

_HALF = 127  # grey level of a mask; brighter pixels are abnormal


def check_image(encoded: bytes, max_pixels: int = HIGHEST_MAX_PIXELS) -> tuple[int, int]:
    """Reads an image to its last byte and returns its (width, height) as Pillow reports it.

    A TIFF has its upright size, every other image the size that is stored.

    All coefficients of a JPEG are read, but only an eighth of its size is decoded: that finds the same
    damage in half of the time.

    Args:
        encoded: bytes of the file.
        max_pixels: largest number of pixels, width times height, that is accepted.

    Raises:
        ValueError: if there are too many pixels, or they are floating-point numbers, whose range is
            unknown, or too large, or their colours are of a kind that Pillow cannot convert.
        Exception: whatever Pillow raises for a damaged file, or for a file that is not an image.
    """
    with open_image(io.BytesIO(encoded), max_pixels) as image:
        size = image.size
        if image.mode == "F":
            raise ValueError("pixels are floating-point numbers; store it with 8 or 16 bits")
        image.draft(image.mode, (max(1, size[0] // 8), max(1, size[1] // 8)))
        image.load()
        _check_mode(image)
        if image.mode == "I" and image.getextrema()[0] < 0 and not stored_values.is_signed(image):
            raise ValueError("values above 2147483647 cannot be read; store it with 16 bits")
    return size


def check_before_decoding(encoded: bytes, max_pixels: int = HIGHEST_MAX_PIXELS) -> None:
    """Refuses what decoding itself would not; an image that is decoded next is not read twice for it.

    Raises:
        ValueError: as for `check_image`.
        Exception: whatever Pillow raises for a file that is not an image.
    """
    with open_image(io.BytesIO(encoded), max_pixels) as image:
        mode = image.mode
    if mode in ("F", "I"):  # their values must be seen
        check_image(encoded, max_pixels)


def describe_error(error: Exception) -> str:
    """Returns, in one line, why an image cannot be read."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    reason = reason or type(error).__name__
    return "not an image" if "cannot identify image file" in reason else reason


def _check_mode(image: Image.Image) -> None:
    """Refuses an image that can be read, but whose colours cannot be converted, for example LAB."""
    corner = image.crop((0, 0, 1, 1))
    try:
        for mode in ("L", "RGB"):
            _convert(corner, mode)
    except ValueError as error:
        raise ValueError(
            f"colours of the kind {image.mode} cannot be converted; store it as RGB or grey"
        ) from error


def check_mask(encoded: bytes, encoded_image: bytes, max_pixels: int = HIGHEST_MAX_PIXELS) -> None:
    """Checks that a mask can be read and fits its image.

    Raises:
        ValueError: if its size differs from that of the image.
        Exception: as for `check_image`.
    """
    check_image(encoded, max_pixels)
    # Formats differ in when Pillow turns an image: it turns a TIFF itself while it loads the pixels, and
    # reports the upright size even before. Only an image that has been turned has a certain size.
    mask, size = open_upright(encoded), open_upright(encoded_image).size
    if mask.size != size:
        raise ValueError("{}x{} pixels, but its image has {}x{}".format(*mask.size, *size))


def open_upright(encoded: bytes) -> Image.Image:
    """Opens an image and turns it as its orientation tag requires; of several frames it takes the first."""
    image = open_image(io.BytesIO(encoded))
    stored_values.note_storage(image, encoded)
    ImageOps.exif_transpose(image, in_place=True)
    if image.format == "PPM" and image.mode == "I":
        # Pillow scales the values of a deep PGM to 16 bits, but keeps them as 32 bits.
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    return image


def read_values(
    image: Image.Image,
    channels: int,
    crop: float,
    framing: str = "crop",
    background: str = "black",
) -> np.ndarray:
    """Returns the values of the visible part that `decode_image` maps to grey levels, not resized."""
    return np.asarray(_convert_unless_deep(cut_centre(image, crop, framing), channels, background))


def decode_image(
    stored: bytes | Image.Image,
    image_size: int | None,
    channels: int,
    crop: float,
    intensity: Intensity = FULL,
    framing: str = "crop",
    background: str = "black",
) -> UInt8[np.ndarray, "H W C"]:
    """Returns the visible part, resized with antialiasing and converted to `channels`.

    Args:
        stored: bytes of the file, or an image from `open_upright`.
        image_size: H and W, pixels; None does not resize, so that the image may not be square.
        channels: C. Colour becomes grey by ITU-R 601-2 luma, and grey is repeated.
        crop: share of the sides that is visible, in (0, 1]; see `squaring.cut_centre`.
        intensity: how stored values become grey levels.
        framing: how an image that is not square becomes one; see `squaring`.
        background: black | white, what shines through transparent pixels.
    """
    image = _cut_visible_part(stored, crop, framing)
    if stored_values.is_deep(image) or intensity.kind not in ("full", "own"):
        return _decode_values(image, image_size, channels, intensity, framing, background)
    image = _convert_unless_deep(image, channels, background)
    if image_size is not None:
        image = fit_square(image, image_size, framing, Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image.height, image.width, channels)


def _decode_values(
    image: Image.Image,
    image_size: int | None,
    channels: int,
    intensity: Intensity,
    framing: str,
    background: str,
) -> UInt8[np.ndarray, "H W C"]:
    """Returns an image whose values are resized as float32 numbers and rounded afterwards."""
    black, white, _ = stored_values.get_range(image)
    values = np.asarray(_convert_unless_deep(image, channels, background), np.float64)
    levels = np.atleast_3d(intensity.map_values(values, black, white).astype(np.float32))
    bands = [Image.fromarray(levels[..., band]) for band in range(levels.shape[-1])]
    return round_levels(bands, image_size, channels, framing)


def round_levels(
    bands: Sequence[Image.Image], image_size: int | None, channels: int, framing: str
) -> UInt8[np.ndarray, "H W C"]:
    """Returns grey levels, which are resized before they are rounded.

    Args:
        bands: float images of grey levels in [0, 255]: one of each channel, or one for all.
        image_size: as in `decode_image`.
        channels: as in `decode_image`.
        framing: as in `decode_image`.
    """
    if image_size is not None:
        bands = [fit_square(band, image_size, framing, Image.Resampling.BILINEAR) for band in bands]
    levels = np.stack([np.asarray(band) for band in bands], -1)
    pixels = np.rint(levels).clip(0, 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:2], channels))


def decode_mask(
    stored: bytes | Image.Image, image_size: int | None, crop: float, framing: str = "crop"
) -> UInt8[np.ndarray, "H W"]:
    """Returns 1 where the mask is brighter than half; it is cropped and resized like its image.

    Every region that is marked in the visible part keeps at least one pixel (`mask_regions.py`).

    Args:
        stored: bytes of the file, or a mask from `open_upright`.
        image_size: H and W, pixels; None does not resize.
        crop: as in `decode_image`.
        framing: as in `decode_image`.
    """
    if image_size is None:
        return _find_marked(stored, crop, framing).astype(np.uint8)
    return decode_mask_and_count(stored, image_size, crop, framing)[0]


def decode_mask_and_count(
    stored: bytes | Image.Image, image_size: int, crop: float, framing: str = "crop"
) -> tuple[UInt8[np.ndarray, "H W"], int, int]:
    """Returns a mask as `decode_mask` does, its number of regions, and how many resizing would lose."""

    def resize(image: Image.Image) -> Image.Image:
        return fit_square(image, image_size, framing, Image.Resampling.NEAREST)

    return shrink_mask(_find_marked(stored, crop, framing), resize)


def _find_marked(
    stored: bytes | Image.Image, crop: float, framing: str
) -> Bool[np.ndarray, "height width"]:
    return np.asarray(_convert(_cut_visible_part(stored, crop, framing), "L")) > _HALF


def decode_whole_mask(encoded: bytes) -> UInt8[np.ndarray, "height width"]:
    """Returns 1 where a mask is brighter than half, at the size that is stored."""
    return (np.asarray(_convert(open_upright(encoded), "L")) > _HALF).astype(np.uint8)


def marks_pixels(mask: Image.Image) -> bool:
    """Returns whether any pixel of a stored mask, an image from `open_upright`, is brighter than half."""
    return _convert(mask, "L").getextrema()[1] > _HALF


def _cut_visible_part(stored: bytes | Image.Image, crop: float, framing: str) -> Image.Image:
    image = open_upright(stored) if isinstance(stored, bytes) else stored
    return cut_centre(image, crop, framing)


def _convert_unless_deep(image: Image.Image, channels: int, background: str) -> Image.Image:
    """Returns a grey or a colour image; a deep image is grey, and keeps its values."""
    if stored_values.is_deep(image):
        return image
    return _convert(image, "L" if channels == 1 else "RGB", background)


def _convert(image: Image.Image, mode: str, background: str = "black") -> Image.Image:
    """Converts an image to one of Pillow's modes; 16-bit values are scaled to 8 bits."""
    image = stored_values.show_on_background(image, background)
    if image.mode == mode:
        return image
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit values at 255 instead of scaling them.
        image = Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
    elif image.mode == "P":
        image = image.convert("RGB")  # Pillow rounds the grey of a palette in another way
    return image.convert(mode)
