"""Pictures for a page: images as bytes, mosaics of images, and error maps on one colour scale.

N images, H W image, C channels, R S mosaic.

All error maps of a report are coloured by `colour_errors` with the same limit, so that equal colours mean
equal errors in any two of them.
"""

import io

import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib import colormaps
from matplotlib.colors import to_rgb as parse_colour
from PIL import Image
from scipy import ndimage

ERROR_COLOURS = colormaps["inferno"]  # perceptually uniform, also for colour-blind readers
SMALL = 64  # pixels; images with shorter sides are enlarged without interpolation
TILE = (
    128  # pixels; the longest side of an image on the page, which keeps the file of the page small
)
_LINES = 128  # the side of an image in widths of the line around a mask


def to_rgb(images: Float[np.ndarray, "*batch H W C"]) -> UInt8[np.ndarray, "*batch H W 3"]:
    """Returns images in [0, 1] as RGB bytes; a grey channel is repeated three times."""
    pixels = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def make_mosaic(
    images: UInt8[np.ndarray, "N H W 3"], columns: int, gap: int = 1
) -> UInt8[np.ndarray, "R S 3"]:
    """Returns one image that shows all images on white, row by row.

    Args:
        images: the images; the first is at the upper left.
        columns: number of images per row; the last row may have fewer.
        gap: white pixels between neighbouring images.
    """
    n, height, width, _ = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def encode_png(pixels: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Returns the image as PNG."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return stream.getvalue()


def encode_webp(pixels: UInt8[np.ndarray, "H W 3"], quality: int) -> bytes:
    """Returns the image as WebP of a quality from 0 to 100."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "WEBP", quality=quality, method=4)
    return stream.getvalue()


def colour_errors(
    error_maps: Float[np.ndarray, "*batch H W"], limit: float
) -> UInt8[np.ndarray, "*batch H W 3"]:
    """Returns the colour of each error: 0 and below is black, `limit` and above is light yellow."""
    return ERROR_COLOURS(np.clip(error_maps / limit, 0, 1), bytes=True)[..., :3]


def outline_masks(
    pixels: UInt8[np.ndarray, "N H W 3"], masks: Bool[np.ndarray, "N H W"], colour: str
) -> UInt8[np.ndarray, "N H W 3"]:
    """Returns the images with a line around what each mask marks.

    Args:
        pixels: the images.
        masks: which pixels are marked; the line is outside of them, except where the image ends.
        colour: colour of the line.
    """
    width = max(1, round(pixels.shape[1] / _LINES))
    lines = np.stack([ndimage.binary_dilation(mask, iterations=width) & ~mask for mask in masks])
    ink = np.array(parse_colour(colour)) * 255
    return np.where(lines[..., None], np.rint(ink).astype(np.uint8), pixels)


def list_scale_colours(num: int = 16) -> list[str]:
    """Returns `num` colours of the error scale, from 0 to the limit, as hexadecimal colours of CSS."""
    stops = colour_errors(np.linspace(0, 1, num)[None], 1.0)[0]
    return ["#" + stop.tobytes().hex() for stop in stops]
