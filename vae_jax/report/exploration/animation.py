"""Animated figures: rows of images that change over time, as GIF.

F frames, N images per frame, H W image, C channels.
"""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw, ImageFont

from vae_jax.data.shrink import shrink_images
from vae_jax.report.images import TILE, make_mosaic, to_rgb

_MIN_SIDE = 96  # smaller images are enlarged to at least this side, pixels
_GAP = 4  # pixels between images
_HEADER = 22  # height of the headings, pixels
_FRAME_TIME = 120  # milliseconds
_END_TIME = 700  # milliseconds for the first and the last frame


@dataclasses.dataclass(frozen=True)
class Animation:
    """A finished animated figure.

    Attributes:
        name: file name without its ending.
        gif: the encoded animation.
        caption: text that explains how to read the figure.
        alt: text for a reader who cannot see the figure.
    """

    name: str
    gif: bytes
    caption: str
    alt: str


def animate_back_and_forth(
    name: str,
    frames: Float32[np.ndarray, "F N H W C"],
    headings: Sequence[str],
    caption: str,
    alt: str,
) -> Animation:
    """Returns an animation that plays the frames forwards and backwards without end.

    Args:
        name: file name without its ending.
        frames: images in [0, 1]. The N images of a frame are arranged in rows of `len(headings)` images.
        headings: heading of each column.
        caption: text that explains how to read the figure.
        alt: text for a reader who cannot see the figure.
    """
    pictures = [_draw_frame(frame, headings) for frame in frames]
    order = [*range(len(pictures)), *range(len(pictures) - 2, 0, -1)]
    ends = (0, len(pictures) - 1)
    stream = io.BytesIO()
    pictures[0].save(
        stream, "GIF", save_all=True, append_images=[pictures[i] for i in order[1:]], loop=0,
        duration=[_END_TIME if i in ends else _FRAME_TIME for i in order], disposal=1,
    )  # fmt: skip
    return Animation(name, stream.getvalue(), caption, alt)


def _draw_frame(images: np.ndarray, headings: Sequence[str]) -> Image.Image:
    pixels = to_rgb(shrink_images(images, TILE))
    factor = max(1, -(-_MIN_SIDE // pixels.shape[1]))
    pixels = pixels.repeat(factor, 1).repeat(factor, 2)
    sheet = make_mosaic(pixels, len(headings), _GAP)
    picture = Image.new("RGB", (sheet.shape[1], sheet.shape[0] + _HEADER), "white")
    picture.paste(Image.fromarray(sheet), (0, _HEADER))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for i, heading in enumerate(headings):
        centre = i * (pixels.shape[2] + _GAP) + pixels.shape[2] / 2
        draw.text((centre, _HEADER / 2), heading, fill=(36, 41, 47), font=font, anchor="mm")
    return picture.quantize(128)
