"""Which squares of a stored image the model sees: the central one, or tiles along its longer side.

Names: `T` squares of one image, `H W` the square that the model sees, `C` channels.
"""

import dataclasses

import ml_collections
import numpy as np
from jaxtyping import Bool, Int32, UInt8
from PIL import Image

from vae_jax.data import decode
from vae_jax.errors import UserError

_NEAR_WHITE = 250  # grey levels from here on carry no structure any more


@dataclasses.dataclass(frozen=True)
class Framing:
    """How stored images become squares.

    Attributes:
        image_size: H and W, pixels.
        channels: C, 1 grey or 3 RGB.
        crop: side of the central square as a fraction of the shorter side.
        tile_stride: pixels of the stored image between neighbouring tiles; 0 takes the central square.
        max_saturated: share of near-white pixels above which a square is left out.
    """

    image_size: int
    channels: int
    crop: float = 1.0
    tile_stride: int = 0
    max_saturated: float = 1.0

    def __post_init__(self) -> None:
        if self.tile_stride and self.crop != 1:
            raise UserError(
                f"data.crop is {self.crop:g} and data.tile_stride is {self.tile_stride}; tiles take the "
                "shorter side whole: take data.crop=1, or data.tile_stride=0"
            )

    @classmethod
    def of(cls, data: ml_collections.ConfigDict) -> "Framing":
        """Returns the framing that the `data` group of the configuration asks for.

        Raises:
            UserError: if tiles are to be cropped as well.
        """
        return cls(**{field.name: data[field.name] for field in dataclasses.fields(cls)})

    @property
    def key(self) -> str:
        """Tells any two framings apart, as part of a file's name."""
        parts = [f"{self.image_size}px", f"{self.channels}c", f"crop{self.crop:g}"]
        if self.tile_stride:
            parts.append(f"tiles{self.tile_stride}")
        if self.max_saturated < 1:
            parts.append(f"saturated{self.max_saturated:g}")
        return "-".join(parts)


@dataclasses.dataclass(frozen=True)
class Squares:
    """The squares of one image that are not left out.

    Attributes:
        images: resized and converted.
        masks: 1 where abnormal; None where the image has no mask.
        marked: whether a pixel of the stored mask, before it was resized, lies in the square.
        offsets: left edge of a tile (upper edge in an upright image), pixels of the stored image.
    """

    images: UInt8[np.ndarray, "T H W C"]
    masks: UInt8[np.ndarray, "T H W"] | None
    marked: Bool[np.ndarray, "T"]
    offsets: Int32[np.ndarray, "T"]

    def none(self) -> "Squares":
        """Returns no square, of the same shapes."""
        masks = None if self.masks is None else self.masks[:0]
        return Squares(self.images[:0], masks, self.marked[:0], self.offsets[:0])


def cut(encoded: bytes, mask: bytes | None, framing: Framing) -> Squares:
    """Decodes an image, and its mask, and cuts them alike.

    Raises:
        UserError: if tiles so far apart would leave gaps, or the mask is of another size than its image.
    """
    image = decode.upright(encoded)
    offsets, pieces = [0], [image]
    mask_pieces = [] if mask is None else [decode.upright(mask)]
    if framing.tile_stride:
        if mask_pieces and mask_pieces[0].size != image.size:
            sizes = [f"{one.width}x{one.height}" for one in (image, mask_pieces[0])]
            raise UserError(
                f"an image of {sizes[0]} pixels has a mask of {sizes[1]}; get both again"
            )
        offsets = _offsets(image, framing.tile_stride)
        pieces = [_tile(image, at) for at in offsets]
        mask_pieces = [_tile(whole, at) for whole in mask_pieces for at in offsets]
    kept = [i for i, piece in enumerate(pieces) if _counts(piece, framing)]
    size, channels, crop = framing.image_size, framing.channels, framing.crop
    images = np.empty((len(kept), size, size, channels), np.uint8)
    masks = None if mask is None else np.empty((len(kept), size, size), np.uint8)
    marked = np.zeros(len(kept), bool)
    for row, i in enumerate(kept):
        images[row] = decode.pixels(pieces[i], size, channels, crop)
        if masks is not None:
            masks[row] = decode.mask(mask_pieces[i], size, crop)
            marked[row] = decode.mask(mask_pieces[i], _side(mask_pieces[i], crop), crop).any()
    return Squares(images, masks, marked, np.array([offsets[i] for i in kept], np.int32))


def tile_offsets(length: int, side: int, stride: int) -> list[int]:
    """Returns where tiles start: every `stride` pixels, the last one flush with the end.

    Args:
        length: longer side of the image, pixels.
        side: of a tile, the image's shorter side.
        stride: pixels between neighbouring tiles, at most `side`.
    """
    last = length - side
    return [*range(0, last, stride), last]


def _offsets(image: Image.Image, stride: int) -> list[int]:
    side, length = sorted(image.size)
    if stride > side:
        raise UserError(
            f"data.tile_stride is {stride}, but an image is {image.width}x{image.height}, so that its "
            f"tiles would leave gaps; take at most {side}"
        )
    return tile_offsets(length, side, stride)


def _tile(image: Image.Image, offset: int) -> Image.Image:
    side = min(image.size)
    left, upper = (offset, 0) if image.width >= image.height else (0, offset)
    return image.crop((left, upper, left + side, upper + side))


def _counts(piece: Image.Image, framing: Framing) -> bool:
    """Returns whether few enough pixels, as stored, are near white."""
    if framing.max_saturated >= 1:
        return True
    stored = decode.pixels(piece, _side(piece, framing.crop), 1, framing.crop)
    return float((stored >= _NEAR_WHITE).mean()) <= framing.max_saturated


def _side(piece: Image.Image, crop: float) -> int:
    """Returns the side at which the square that is kept need not be resized."""
    return max(1, round(crop * min(piece.size)))
