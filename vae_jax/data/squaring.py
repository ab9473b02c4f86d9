"""Three ways in which an image that is not square becomes the square that the model sees.

`crop` shows the central square. `stretch` shows the whole image, squeezed into the square. `pad` shows the
whole image with its aspect ratio, in the middle of a square that is black elsewhere; as the mask is black
there too, the added pixels count as normal. An image and its mask are treated alike, so that a pixel of the
mask belongs to the same pixel of the image.
"""

import numpy as np
from jaxtyping import Bool
from PIL import Image


def cut_centre(image: Image.Image, crop: float, framing: str) -> Image.Image:
    """Returns the part of a stored image that the model sees, not resized.

    Args:
        image: stored image, or its mask.
        crop: side of the central square as a fraction of the shorter side, in (0, 1]; unless `framing` is
            "crop", both sides of the central rectangle as a fraction of those of the image.
        framing: `data.framing`.
    """
    left, top, width, height = locate_centre(image.size, crop, framing)
    return image.crop((left, top, left + width, top + height))


def locate_centre(size: tuple[int, int], crop: float, framing: str) -> tuple[int, int, int, int]:
    """Returns left, top, width and height of the part that `cut_centre` cuts out of an image of a size."""
    width, height = size
    if framing == "crop":
        width = height = min(width, height)
    width, height = max(1, round(crop * width)), max(1, round(crop * height))
    return (size[0] - width) // 2, (size[1] - height) // 2, width, height


def fit_square(
    image: Image.Image, side: int, framing: str, resampling: Image.Resampling
) -> Image.Image:
    """Resizes an image from `cut_centre` to a square of `side` pixels.

    Only `pad` keeps the aspect ratio of an image that is not square.
    """
    # The image is cropped first. The `box` argument of Pillow's resize would let the filter use pixels
    # outside the box, for example those of a black border.
    width, height = image.size
    if framing != "pad" or width == height:
        return _resize(image, (side, side), resampling)
    scale = side / max(width, height)
    image = _resize(
        image, (max(1, round(scale * width)), max(1, round(scale * height))), resampling
    )
    square = Image.new(image.mode, (side, side))  # black
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square


def spread_over_part(
    square: Bool[np.ndarray, "side side"], width: int, height: int, framing: str
) -> Bool[np.ndarray, "height width"]:
    """Returns a mask of the square that the model sees at the size of a part from `cut_centre`.

    It is the inverse of `fit_square`, and takes the nearest pixel.
    """
    mask = Image.fromarray(square)
    if framing == "pad":
        longer = max(width, height)
        mask = mask.resize((longer, longer), Image.Resampling.NEAREST)
        left, top = (longer - width) // 2, (longer - height) // 2
        return np.asarray(mask.crop((left, top, left + width, top + height)))
    return np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))


def _resize(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
    return image if image.size == size else image.resize(size, resampling)
