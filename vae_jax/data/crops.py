"""The parts of a stored image that the model sees, cut out and decoded together with its mask.

T crops of one image, H W image that the model sees, C channels, P visible pixels of the stored image.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float64, Int32, Num, UInt8
from PIL import Image

from vae_jax.data import decode
from vae_jax.data.framing import Framing
from vae_jax.data.region import Region
from vae_jax.data.squaring import locate_centre, spread_over_part
from vae_jax.data.stored_values import measure_levels
from vae_jax.data.tiling import compute_boxes, compute_tile_offsets
from vae_jax.errors import UserError

_NEAR_WHITE = 250  # grey levels from this one on count as saturated


@dataclasses.dataclass(frozen=True)
class Crops:
    """The crops of one image that are not too saturated.

    Attributes:
        images: crops, resized and converted to C channels.
        masks: 1 where a pixel is abnormal; None where the image has no mask.
        has_defect: whether the stored mask, before it was resized, marks a pixel of the crop.
        is_out_of_view: whether the stored mask marks pixels, but none of them is in any crop.
        mask_regions: regions that the stored mask marks in each crop, and how many of them have one pixel
            only because no region may be lost where the mask is resized.
        boxes: left, top and side of each crop, pixels of the upright image; an image that is not cut into
            tiles has one crop with the side 0.
        stored_levels: range of the stored values of the whole image; see `Examples.stored_levels`.
    """

    images: UInt8[np.ndarray, "T H W C"]
    masks: UInt8[np.ndarray, "T H W"] | None
    has_defect: Bool[np.ndarray, "T"]
    is_out_of_view: bool
    mask_regions: Int32[np.ndarray, "T 2"]
    boxes: Int32[np.ndarray, "T 3"]
    stored_levels: Float64[np.ndarray, "6"]

    @property
    def offsets(self) -> Int32[np.ndarray, "T"]:
        """Left edge of each tile of a strip; the upper edge in an image that is higher than wide."""
        return self.boxes[:, :2].max(axis=1)

    def drop_all(self) -> "Crops":
        """Returns an empty set of crops of the same size."""
        masks = None if self.masks is None else self.masks[:0]
        return dataclasses.replace(
            self,
            images=self.images[:0],
            masks=masks,
            has_defect=self.has_defect[:0],
            mask_regions=self.mask_regions[:0],
            boxes=self.boxes[:0],
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
    boxes = np.zeros((1, 3), np.int32)
    if framing.cuts_strips or framing.covers_image:
        if mask is not None and mask.size != image.size:
            raise UserError(
                f"an image of {image.width}x{image.height} pixels has a mask of {mask.width}x{mask.height} "
                "pixels; replace the image or the mask, so that both have the same size"
            )
        boxes = _list_boxes(image, framing)
    # One piece at a time is cut out, because overlapping tiles together are larger than the image.
    usable = [box for box in boxes if not _is_saturated(_cut_piece(image, box), framing)]
    size, channels = framing.image_size, framing.channels
    images = np.empty((len(usable), size, size, channels), np.uint8)
    masks = None if mask is None else np.empty((len(usable), size, size), np.uint8)
    mask_regions = np.zeros((len(usable), 2), np.int32)
    for row, box in enumerate(usable):
        images[row] = _decode_piece(_cut_piece(image, box), size, channels, framing)
        if mask is not None:
            piece = _cut_piece(mask, box)
            masks[row], num_regions, num_kept = decode.decode_mask_and_count(
                piece, size, framing.piece_crop, framing.framing
            )
            mask_regions[row] = num_regions, num_kept
    has_defect = mask_regions[:, 0] > 0
    is_out_of_view = mask is not None and not has_defect.any() and decode.marks_pixels(mask)
    return Crops(
        images,
        masks,
        has_defect,
        is_out_of_view,
        mask_regions,
        np.array(usable, np.int32).reshape(-1, 3),
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
    if framing.cuts_strips:
        # Tiles side by side, so that hardly a pixel counts twice.
        framing = dataclasses.replace(framing, tile_stride=min(image.size))
        pieces = [_cut_piece(image, box) for box in _list_boxes(image, framing)]
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


def _list_boxes(image: Image.Image, framing: Framing) -> Int32[np.ndarray, "T 3"]:
    """Returns left, top and side of the tiles of an image."""
    if framing.covers_image:
        left, top, width, height = locate_centre(image.size, framing.crop, framing.framing)
        boxes = compute_boxes(width, height, framing.tile_side, framing.tile_stride)
        return boxes + np.array([left, top, 0], np.int32)
    side, length = sorted(image.size)
    stride = framing.tile_stride
    if stride > side:
        raise UserError(
            f"data.tile_stride is {stride}, which leaves gaps between the tiles of an image of "
            f"{image.width}x{image.height} pixels; set it to at most {side}"
        )
    offsets = compute_tile_offsets(length, side, stride)
    is_upright = image.height > image.width
    return np.array([(0, at, side) if is_upright else (at, 0, side) for at in offsets], np.int32)


def _cut_piece(image: Image.Image, box: Int32[np.ndarray, "3"]) -> Image.Image:
    """Returns a tile; with the side 0 the image itself."""
    left, top, side = box.tolist()
    return image.crop((left, top, left + side, top + side)) if side else image


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
        framing.piece_crop,
        framing.intensity,
        framing.framing,
        framing.background,
    )
