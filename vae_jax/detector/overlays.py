"""Pictures of predictions: the image with its anomaly map, and the map itself as a file.

H W image that the model sees, C channels.
"""

import pathlib

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

_MIN_SIDE = 384  # pixels; smaller images are enlarged, so that the text can be read
_OPACITY = 0.55  # of the map, where it is at the upper end of the colours
_CONTOUR = (0, 255, 255)
_TEXT, _BAR = (255, 255, 255), (0, 0, 0)


def draw_overlay(
    image: UInt8[np.ndarray, "H W C"],
    values: Float[np.ndarray, "H W"],
    limit: float,
    contour: float,
    text: str,
    *,
    is_anomalous: bool,
) -> Image.Image:
    """Draws an image with its anomaly map over it.

    The colours are on the absolute scale of the run: a map near 0, as normal images have it, leaves the
    image as it is, and nothing is stretched to the largest value of the image.

    Args:
        image: image as the model sees it.
        values: its anomaly map, in standard deviations above calibration normals.
        limit: value of the map that gets the strongest colour.
        contour: a line surrounds the places with a higher value.
        text: text below the image.
        is_anomalous: whether the text stands on red.
    """
    scale = max(1, -(-_MIN_SIDE // max(image.shape[:2])))
    grey = np.repeat(image.astype(np.float32), 3 // image.shape[2], axis=2)
    grey = grey.repeat(scale, axis=0).repeat(scale, axis=1)
    share = np.clip(values / limit, 0, 1)
    share = np.clip(ndimage.zoom(share, scale, order=1), 0, 1) if scale > 1 else share
    # Yellow to red: its lightness falls, so that colour-blind readers see it as well.
    colour = np.stack([np.full_like(share, 255), 220 * (1 - share), 0 * share], axis=2)
    blended = grey + (_OPACITY * share)[..., None] * (colour - grey)
    above = (values > contour).repeat(scale, axis=0).repeat(scale, axis=1)
    edge = above & ~ndimage.binary_erosion(above, iterations=2)
    blended[edge] = _CONTOUR
    picture = Image.fromarray(np.rint(blended).clip(0, 255).astype(np.uint8))
    return _add_text(picture, text, (170, 0, 0) if is_anomalous else _BAR)


def _add_text(picture: Image.Image, text: str, background: tuple[int, int, int]) -> Image.Image:
    font = ImageFont.load_default(size=16)
    height = 26
    canvas = Image.new("RGB", (picture.width, picture.height + height), background)
    canvas.paste(picture, (0, 0))
    ImageDraw.Draw(canvas).text((6, picture.height + 4), text, _TEXT, font=font)
    return canvas


def locate_picture(folder: pathlib.Path, name: str, suffix: str) -> pathlib.Path:
    """Returns where a picture of an image belongs: the folders of its name are repeated below `folder`.

    The suffix of the image stays a part of the name, so that `a.png` and `a.jpg` have different pictures.
    """
    parts = [part for part in pathlib.PurePath(name).parts if part not in ("/", "..", "~")]
    return folder.joinpath(*parts[:-1], f"{parts[-1] if parts else 'image'}{suffix}")


def write_overlay(path: pathlib.Path, picture: Image.Image) -> None:
    """Writes an overlay as PNG, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def write_map(path: pathlib.Path, values: Float[np.ndarray, "H W"]) -> None:
    """Writes an anomaly map as float16 `.npy`, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values.astype(np.float16))
