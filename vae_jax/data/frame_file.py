"""One frame or slice of a medical file as an image file of its own, which holds nothing about a patient.

The file is a TIFF of float32 values and a range: the values that are black and white with
`data.intensity=full`. Only this package writes such files; other images of floating-point numbers are
refused, because their range is unknown.
"""

import io
import math
import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Num
from PIL import Image, TiffImagePlugin

_DESCRIPTION = "vae_jax frame black={!r} white={!r} window={}"
_PATTERN = re.compile(r"vae_jax frame black=(\S+) white=(\S+) window=([01])")


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


def encode_frame(values: Num[np.ndarray, "height width"], value_range: ValueRange) -> bytes:
    """Returns a file with these values and this range; the values are stored as float32."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[TiffImagePlugin.IMAGEDESCRIPTION] = _DESCRIPTION.format(
        float(value_range.black), float(value_range.white), int(value_range.is_window)
    )
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    image.save(file, "TIFF", tiffinfo=tags, compression="tiff_adobe_deflate")
    return file.getvalue()


def read_range(image: Image.Image) -> ValueRange | None:
    """Returns the range of an image from `encode_frame`; None for any other image."""
    if image.mode != "F" or image.format != "TIFF":
        return None
    match = _PATTERN.fullmatch(str(image.tag_v2.get(TiffImagePlugin.IMAGEDESCRIPTION, "")))
    return ValueRange(float(match[1]), float(match[2]), match[3] == "1") if match else None
