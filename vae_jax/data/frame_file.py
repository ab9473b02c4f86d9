"""One frame or slice of a medical file as an image file of its own, which holds nothing about a patient.

The file is a TIFF of float32 values and a range: the values that are black and white with
`data.intensity=full`. Only this package writes such files; other images of floating-point numbers are
refused, because their range is unknown.
"""

import contextlib
import io
import math
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Num, UInt8
from PIL import Image, TiffImagePlugin

from vae_jax.data.image_file import check_size

_DESCRIPTION = "vae_jax frame black={!r} white={!r} window={}"
_PATTERN = re.compile(r"vae_jax frame black=(\S+) white=(\S+) window=([01])")


class UnreadableFile(ValueError):
    """A medical file cannot be read. The message is one line, and repeats no element of the file's header
    that may say something about a patient.
    """


@contextlib.contextmanager
def hide_details() -> Iterator[None]:
    """Replaces any other error than those of files by an `UnreadableFile` without its text.

    Libraries raise many kinds of errors for damaged files, and may repeat the values that they found.
    """
    try:
        yield
    except (UnreadableFile, OSError):
        raise
    except Exception as error:
        raise UnreadableFile(f"the file is damaged ({type(error).__name__})") from None


class ValueRange(NamedTuple):
    """Which values of a frame are black and white with `data.intensity=full`.

    Attributes:
        black: value that becomes black; it is above `white` where low values are bright (MONOCHROME1), and
            not a number where no range is known.
        white: value that becomes white.
        is_window: whether the file asks for this range; otherwise it is the range of the type.
    """

    black: int | float
    white: int | float
    is_window: bool = False

    @property
    def is_known(self) -> bool:
        """Whether there is a range."""
        return not math.isnan(self.black)


UNKNOWN_RANGE = ValueRange(math.nan, math.nan)


def check_frame_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses frames with too many pixels.

    Raises:
        UnreadableFile: if there are more pixels than `max_pixels`. The message has both numbers.
    """
    try:
        check_size(width, height, max_pixels)
    except ValueError as error:
        raise UnreadableFile(str(error)) from None


class Header(NamedTuple):
    """What is known of a medical file before its pixels are read.

    Attributes:
        num_frames: number of frames or slices; None where the file is a single image.
        size: (width, height) of a frame, pixels.
        patient: a digest of the identifier of the patient, "" if the file has none. It serves to compare
            files in memory, and must never be stored or shown: identifiers are short enough to guess.
    """

    num_frames: int | None
    size: tuple[int, int]
    patient: str = ""

    @property
    def suffixes(self) -> list[str]:
        """What follows the name of the file in the name of each frame."""
        if self.num_frames is None:
            return [""]
        return [f"#{frame}" for frame in range(self.num_frames)]


class Frame(NamedTuple):
    """A frame of a medical file.

    Attributes:
        encoded: an image file.
        content: bytes that depend only on the values and their range, for a digest; compressed bytes
            depend on the version of zlib.
    """

    encoded: bytes
    content: bytes


def make_frame(values: Num[np.ndarray, "height width"], value_range: ValueRange) -> Frame:
    """Returns a frame with these values and this range; the values are stored as float32."""
    values = np.ascontiguousarray(values, np.float32)
    header = f"{values.shape} {[float(number) for number in value_range]}\0"
    return Frame(_encode_frame(values, value_range), header.encode() + values.tobytes())


def make_colour_frame(pixels: UInt8[np.ndarray, "height width 3"]) -> Frame:
    """Returns a frame of colours, which have 8 bits."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "PNG")
    return Frame(file.getvalue(), f"{pixels.shape}\0".encode() + pixels.tobytes())


def encode_mask(values: Num[np.ndarray, "height width"]) -> bytes:
    """Returns an image file with the values of a mask.

    Raises:
        ValueError: if they are no whole numbers from 0 to 65535.
    """
    if (values != np.rint(values)).any() or values.min() < 0 or values.max() > 65_535:
        raise ValueError("its values are no whole numbers from 0 to 65535, so they mark nothing")
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(values, np.uint16)).save(file, "TIFF")
    return file.getvalue()


def _encode_frame(values: Num[np.ndarray, "height width"], value_range: ValueRange) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[TiffImagePlugin.IMAGEDESCRIPTION] = _DESCRIPTION.format(
        float(value_range.black), float(value_range.white), int(value_range.is_window)
    )
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF", tiffinfo=tags, compression="tiff_adobe_deflate")
    return file.getvalue()


def read_range(image: Image.Image) -> ValueRange | None:
    """Returns the range of an image from `make_frame`; None for any other image."""
    if image.mode != "F" or image.format != "TIFF":
        return None
    match = _PATTERN.fullmatch(str(image.tag_v2.get(TiffImagePlugin.IMAGEDESCRIPTION, "")))
    return ValueRange(float(match[1]), float(match[2]), match[3] == "1") if match else None
