"""Moving figures: images that change, as GIF.

F frames, N images a frame, H W image, C channels.
"""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw, ImageFont

from vae_jax.data.shrink import shrink_images
from vae_jax.report.images import TILE, make_mosaic, to_rgb

_SIDE = 96  # least side of an image on a frame, pixels
_HEADER = 22  # pixels of the line of headings
_FRAME, _END = 120, 700  # milliseconds that a frame and the two ends stand


@dataclasses.dataclass(frozen=True)
class Animation:
    """A finished moving figure; fields as those of `drawing.Drawing`."""

    name: str
    gif: bytes
    caption: str
    alt: str


def there_and_back(
    name: str,
    frames: Float32[np.ndarray, "F N H W C"],
    headings: Sequence[str],
    caption: str,
    alt: str,
) -> Animation:
    """Returns a film that runs to its end and back, for ever.

    Args:
        name: stem of the file.
        frames: in [0, 1]; the N images stand in rows as long as there are headings.
        headings: of the columns.
        caption: how to read it.
        alt: what a reader who cannot see it must know.
    """
    stills = [_still(frame, headings) for frame in frames]
    order = [*range(len(stills)), *range(len(stills) - 2, 0, -1)]
    ends = (0, len(stills) - 1)
    stream = io.BytesIO()
    stills[0].save(
        stream, "GIF", save_all=True, append_images=[stills[i] for i in order[1:]], loop=0,
        duration=[_END if i in ends else _FRAME for i in order], disposal=1,
    )  # fmt: skip
    return Animation(name, stream.getvalue(), caption, alt)


def _still(images: np.ndarray, headings: Sequence[str]) -> Image.Image:
    pixels = to_rgb(shrink_images(images, TILE))
    enlarge = max(1, -(-_SIDE // pixels.shape[1]))
    pixels = pixels.repeat(enlarge, 1).repeat(enlarge, 2)
    gap = 4
    sheet = make_mosaic(pixels, len(headings), gap)
    page = Image.new("RGB", (sheet.shape[1], sheet.shape[0] + _HEADER), "white")
    page.paste(Image.fromarray(sheet), (0, _HEADER))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for i, heading in enumerate(headings):
        middle = i * (pixels.shape[2] + gap) + pixels.shape[2] / 2
        pen.text((middle, _HEADER / 2), heading, fill=(36, 41, 47), font=font, anchor="mm")
    return page.quantize(128)
