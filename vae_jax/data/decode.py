"""An encoded image -> uint8 pixels of the size that the model sees.

Names: `H W` the square that the model sees, `C` channels (1 grey, 3 RGB).
"""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

# Part of the key of cached pixels: raise it when any pixel below comes out differently.
VERSION = 1

_LYING = 5  # from this EXIF orientation on, width and height change places
_HALF = 127  # of a mask's grey; what is brighter is abnormal


def check(encoded: bytes) -> tuple[int, int]:
    """Reads an image to its last byte and returns its stored (width, height).

    A JPEG's coefficients are all read, but turned into an eighth of its pixels: that finds the same damage
    in half of the time.

    Raises:
        ValueError: if pixels are floating-point numbers, whose range nobody knows.
        Exception: whatever Pillow raises on a damaged file, an image too large to be meant, or no image.
    """
    with Image.open(io.BytesIO(encoded)) as image:
        size = image.size
        if image.mode == "F":
            raise ValueError("pixels are floating-point numbers; store it with 8 or 16 bits")
        image.draft(image.mode, (size[0] // 8, size[1] // 8))
        image.load()
    return size


def check_mask(encoded: bytes, image: bytes) -> None:
    """Checks that a mask can be read and lies over its image.

    Raises:
        ValueError: if it has another size, or values of which none is brighter than half.
        Exception: as `check`.
    """
    check(encoded)
    mask, size = upright(encoded), _upright_size(image)
    if mask.size != size:
        raise ValueError("{}x{} pixels, its image {}x{}".format(*mask.size, *size))
    grey = np.asarray(_to_mode(mask, "L"))
    # 255 is nearly black where there are 16 bits.
    highest = (np.asarray(mask) if mask.mode.startswith("I") else grey).max()
    if highest > 0 and grey.max() <= _HALF:
        raise ValueError(
            f"nowhere brighter than half (highest value {highest}); store it as 0 and 255"
        )


def _upright_size(encoded: bytes) -> tuple[int, int]:
    """Returns the size of what `upright` makes of an image, without decoding it."""
    with Image.open(io.BytesIO(encoded)) as image:
        lies = image.getexif().get(ExifTags.Base.Orientation, 1) >= _LYING
        return image.size[::-1] if lies else image.size


def upright(encoded: bytes) -> Image.Image:
    """Opens an image and turns it as its EXIF data says; only the first frame of several counts."""
    image = Image.open(io.BytesIO(encoded))
    ImageOps.exif_transpose(image, in_place=True)
    return image


def pixels(
    stored: bytes | Image.Image, image_size: int, channels: int, crop: float
) -> UInt8[np.ndarray, "H W C"]:
    """Returns the central square, resized with antialiasing and converted to `channels`.

    Args:
        stored: the file's bytes, or what `upright` made of them.
        image_size: H and W, pixels.
        channels: C. Colour becomes grey by ITU-R 601-2 luma, grey is repeated, transparency is dropped.
        crop: side of the square as a fraction of the shorter side, in (0, 1].
    """
    image = _to_mode(_central_square(stored, crop), "L" if channels == 1 else "RGB")
    image = _resize(image, image_size, Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image_size, image_size, channels)


def mask(stored: bytes | Image.Image, image_size: int, crop: float) -> UInt8[np.ndarray, "H W"]:
    """Returns 1 where the mask is brighter than half, cut and resized as its image is."""
    image = _to_mode(_central_square(stored, crop), "L")
    image = _resize(image, image_size, Image.Resampling.NEAREST)
    return (np.asarray(image) > _HALF).astype(np.uint8)


def whole_mask(encoded: bytes) -> UInt8[np.ndarray, "height width"]:
    """Returns 1 where a mask, as large as it is stored, is brighter than half."""
    return (np.asarray(_to_mode(upright(encoded), "L")) > _HALF).astype(np.uint8)


def _central_square(stored: bytes | Image.Image, crop: float) -> Image.Image:
    image = upright(stored) if isinstance(stored, bytes) else stored
    width, height = image.size
    side = max(1, round(crop * min(width, height)))
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def _resize(image: Image.Image, image_size: int, resampling: Image.Resampling) -> Image.Image:
    # After the crop: the `box` of Pillow's resize lets the filter look beyond it, at a black border.
    size = (image_size, image_size)
    return image if image.size == size else image.resize(size, resampling)


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode.startswith("I"):
        # Pillow clips 16 bits at 255 instead of scaling them.
        image = Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
    elif image.mode == "P":
        # A palette may hold transparency, which only RGBA takes over without a warning.
        image = image.convert("RGBA")
    return image.convert(mode)
