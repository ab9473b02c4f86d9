"""Opens image files: only the formats that count as images, and only up to a number of pixels.

Pillow tells the format of a file by its content, and some of its readers start other programs or unpack
without a limit. Such a reader must not be reached by a file whose name only looks like that of an image.
"""

import io
import pathlib
import re
import warnings

from PIL import Image, features

from vae_jax.data.regular_file import check_regular
from vae_jax.validate import HIGHEST_MAX_PIXELS

# Formats that are no images here:
_EXCLUDED = {
    # Pillow only recognises them, or decodes them with further programs.
    "BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF",
    # Its reader opens what the file contains as any format, also as those above.
    "IPTC",
}  # fmt: skip
_CODECS = {
    "AVIF": "avif",
    "JPEG2000": "jpg_2000",
    "WEBP": "webp",
}  # format -> part that may be missing
_UNREGISTERED = {".mpo": "JPEG"}  # the reader of JPEG opens the format

# `open_image` has a limit of its own. Beyond a higher limit Pillow raises an error, which stays.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _list_formats() -> dict[str, str]:
    """Returns suffix -> format, for the formats that Pillow decodes here."""
    Image.init()
    missing = {name for name, feature in _CODECS.items() if not features.check(feature)}
    readable = set(Image.OPEN) - _EXCLUDED - missing
    suffixes = Image.registered_extensions() | _UNREGISTERED
    return {suffix: name for suffix, name in suffixes.items() if name in readable}


_FORMAT_OF_SUFFIX = _list_formats()
# The suffixes, in lower case, of all formats that are images.
SUFFIXES = frozenset(_FORMAT_OF_SUFFIX)
# Those formats, in the order in which Pillow tries its readers; some readers accept any content.
FORMATS = tuple(name for name in Image.ID if name in set(_FORMAT_OF_SUFFIX.values()))


def open_image(
    source: pathlib.Path | io.BytesIO, max_pixels: int = HIGHEST_MAX_PIXELS
) -> Image.Image:
    """Opens an image without decoding its pixels.

    Args:
        source: the file.
        max_pixels: largest number of pixels, width times height, that is accepted.

    Raises:
        ValueError: if the image has more pixels; the message has both numbers. Or if `source` is a pipe,
            a device or a file of more than 1 GiB.
        PIL.UnidentifiedImageError: if the file is no image of `FORMATS`.
    """
    if isinstance(source, pathlib.Path):
        check_regular(source)
    try:
        image = Image.open(source, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        count = re.search(r"\d+", str(error))[0]
        raise ValueError(_describe_limit(f"{count} pixels", max_pixels)) from error
    try:
        check_size(image.width, image.height, max_pixels)
    except ValueError:
        image.close()
        raise
    return image


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses images with too many pixels.

    Raises:
        ValueError: if there are more pixels than `max_pixels`. The message has both numbers.
    """
    if width * height > max_pixels:
        size = f"{width}x{height} = {width * height} pixels"
        raise ValueError(_describe_limit(size, max_pixels))


def _describe_limit(size: str, max_pixels: int) -> str:
    advice = (
        "raise data.max_pixels if that is intended"
        if max_pixels < HIGHEST_MAX_PIXELS
        else "cut it into smaller images"
    )
    return f"{size}, more than the limit of {max_pixels}; {advice}"
