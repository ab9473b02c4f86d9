"""Which parts of a stored image the model sees: one square of it, or tiles along the longer side.

T crops of one image, H W image that the model sees, C channels, P visible pixels of the stored image.
"""

import dataclasses

import ml_collections
import numpy as np
from jaxtyping import Bool, Float64, Int32, Num, UInt8
from PIL import Image

from vae_jax.data import decode
from vae_jax.data.intensity import FULL, Intensity, parse_intensity
from vae_jax.data.region import Region
from vae_jax.data.squaring import spread_over_part
from vae_jax.data.stored_values import measure_levels
from vae_jax.errors import UserError

_NEAR_WHITE = 250  # grey levels from this one on count as saturated


@dataclasses.dataclass(frozen=True)
class Framing:
    """How a stored image becomes square crops; the fields have the names of the `data` group.

    Attributes:
        image_size: H and W, pixels.
        channels: C, 1 grey or 3 RGB.
        crop: share of the sides that is visible; see `squaring.cut_centre`.
        tile_stride: pixels of the stored image from one tile to the next; 0 takes one square.
        max_saturated: a crop with a larger share of near-white pixels is not used.
        intensity: how stored values become grey levels.
        framing: how an image that is not square becomes one, "crop", "stretch" or "pad"; see `squaring`.
        background: "black" or "white", what shines through transparent pixels.
    """

    image_size: int
    channels: int
    crop: float = 1.0
    tile_stride: int = 0
    max_saturated: float = 1.0
    intensity: Intensity = FULL
    framing: str = "crop"
    background: str = "black"

    def __post_init__(self) -> None:
        if self.tile_stride and self.framing != "crop":
            raise UserError(
                f"data.framing is {self.framing} and data.tile_stride is {self.tile_stride}, but tiles are "
                "squares that show the whole image already; set data.framing=crop, or data.tile_stride=0"
            )
        if self.tile_stride and self.crop != 1:
            raise UserError(
                f"data.crop is {self.crop:g} and data.tile_stride is {self.tile_stride}, but a tile always "
                "spans the whole shorter side; set data.crop=1, or data.tile_stride=0"
            )
        if self.intensity.kind == "percentile" and self.max_saturated < 1:
            # Which images are used would depend on the percentiles, and these on which images are used.
            raise UserError(
                f"data.intensity is a percentile and data.max_saturated is {self.max_saturated:g}; set "
                "data.max_saturated=1, or a fixed data.intensity=window:LOW,HIGH"
            )

    @classmethod
    def from_config(cls, data_config: ml_collections.ConfigDict) -> "Framing":
        """Returns the framing that the `data` group of the config describes.

        Raises:
            UserError: if the group asks for tiles together with a crop, stretching or padding, or for
                percentiles together with a limit of near-white pixels.
        """
        fields = {field.name: data_config[field.name] for field in dataclasses.fields(cls)}
        return cls(**fields | {"intensity": parse_intensity(data_config.intensity)})

    @property
    def key(self) -> str:
        """Part of a file name; different framings have different keys."""
        parts = [f"{self.image_size}px", f"{self.channels}c", f"crop{self.crop:g}"]
        if self.framing != "crop":
            parts.append(self.framing)
        if self.background != "black":
            parts.append(self.background)
        if self.tile_stride:
            parts.append(f"tiles{self.tile_stride}")
        if self.max_saturated < 1:
            parts.append(f"saturated{self.max_saturated:g}")
        if self.intensity.kind != "full":
            parts.append(self.intensity.key)
        return "-".join(parts)


@dataclasses.dataclass(frozen=True)
class Crops:
    """The crops of one image that are not too saturated.

    Attributes:
        images: crops, resized and converted to C channels.
        masks: 1 where a pixel is abnormal; None where the image has no mask.
        has_defect: whether the stored mask, before it was resized, marks a pixel of the crop.
        offsets: left edge of each tile (upper edge in an image that is higher than wide), pixels of the
            stored image; 0 where images are not cut into tiles.
        stored_levels: range of the stored values of the whole image; see `Examples.stored_levels`.
    """

    images: UInt8[np.ndarray, "T H W C"]
    masks: UInt8[np.ndarray, "T H W"] | None
    has_defect: Bool[np.ndarray, "T"]
    offsets: Int32[np.ndarray, "T"]
    stored_levels: Float64[np.ndarray, "6"]

    def drop_all(self) -> "Crops":
        """Returns an empty set of crops of the same size."""
        masks = None if self.masks is None else self.masks[:0]
        return dataclasses.replace(
            self,
            images=self.images[:0],
            masks=masks,
            has_defect=self.has_defect[:0],
            offsets=self.offsets[:0],
        )


def cut_crops(encoded: bytes, encoded_mask: bytes | None, framing: Framing) -> Crops:
    """Decodes an image and its mask, and cuts both in the same way.

    Args:
        encoded: file of the image.
        encoded_mask: file of its mask; None if it has none.
        framing: which parts to cut out.

    Raises:
        UserError: if the tiles would leave gaps, or image and mask have different sizes.
    """
    image = decode.open_upright(encoded)
    mask = None if encoded_mask is None else decode.open_upright(encoded_mask)
    if framing.tile_stride:
        if mask is not None and mask.size != image.size:
            raise UserError(
                f"an image of {image.width}x{image.height} pixels has a mask of {mask.width}x{mask.height} "
                "pixels; replace the image or the mask, so that both have the same size"
            )
        offsets = _tile_offsets(image, framing.tile_stride)
        pieces = [_cut_tile(image, offset) for offset in offsets]
        mask_pieces = [] if mask is None else [_cut_tile(mask, offset) for offset in offsets]
    else:
        offsets, pieces, mask_pieces = [0], [image], [] if mask is None else [mask]
    usable = [i for i, piece in enumerate(pieces) if not _is_saturated(piece, framing)]
    size, channels = framing.image_size, framing.channels
    images = np.empty((len(usable), size, size, channels), np.uint8)
    masks = None if mask is None else np.empty((len(usable), size, size), np.uint8)
    has_defect = np.zeros(len(usable), bool)
    for row, i in enumerate(usable):
        images[row] = _decode_piece(pieces[i], size, channels, framing)
        if masks is not None:
            masks[row] = decode.decode_mask(mask_pieces[i], size, framing.crop, framing.framing)
            stored_mask = decode.decode_mask(mask_pieces[i], None, framing.crop, framing.framing)
            has_defect[row] = stored_mask.any()
    return Crops(
        images,
        masks,
        has_defect,
        np.array([offsets[i] for i in usable], np.int32),
        np.array(measure_levels(image), np.float64),
    )


def read_visible_values(
    encoded: bytes, framing: Framing, region: Region | None = None
) -> Num[np.ndarray, "P"]:
    """Returns the stored values of the pixels that the model may see, before they become grey levels.

    Args:
        encoded: file of the image.
        framing: which parts of it the model sees.
        region: pixels that count in the square that the model sees; None where all of them do.
    """
    image = decode.open_upright(encoded)
    if framing.tile_stride:
        pieces = [_cut_tile(image, offset) for offset in _tile_offsets(image, min(image.size))]
    else:
        pieces = [image]
    values = []
    for piece in pieces:
        pixels = decode.read_values(
            piece, framing.channels, framing.crop, framing.framing, framing.background
        )
        height, width = pixels.shape[:2]
        if region is not None:
            pixels = pixels[spread_over_part(region.mask, width, height, framing.framing)]
        values.append(pixels.ravel())
    return np.concatenate(values)


def compute_tile_offsets(length: int, side: int, stride: int) -> list[int]:
    """Returns where tiles start: every `stride` pixels, and the last one where it ends with the image.

    Args:
        length: longer side of the image, pixels.
        side: side of a tile, which is the shorter side of the image, pixels.
        stride: pixels from one tile to the next, at most `side`.
    """
    last = length - side
    return [*range(0, last, stride), last]


def _tile_offsets(image: Image.Image, stride: int) -> list[int]:
    side, length = sorted(image.size)
    if stride > side:
        raise UserError(
            f"data.tile_stride is {stride}, which leaves gaps between the tiles of an image of "
            f"{image.width}x{image.height} pixels; set it to at most {side}"
        )
    return compute_tile_offsets(length, side, stride)


def _cut_tile(image: Image.Image, offset: int) -> Image.Image:
    side = min(image.size)
    left, upper = (offset, 0) if image.width >= image.height else (0, offset)
    return image.crop((left, upper, left + side, upper + side))


def _is_saturated(piece: Image.Image, framing: Framing) -> bool:
    """Returns whether the crop, at its stored size, has too large a share of near-white pixels."""
    if framing.max_saturated >= 1:
        return False
    grey = _decode_piece(piece, None, 1, framing)
    return float((grey >= _NEAR_WHITE).mean()) > framing.max_saturated


def _decode_piece(
    piece: Image.Image, image_size: int | None, channels: int, framing: Framing
) -> UInt8[np.ndarray, "H W C"]:
    return decode.decode_image(
        piece,
        image_size,
        channels,
        framing.crop,
        framing.intensity,
        framing.framing,
        framing.background,
    )
