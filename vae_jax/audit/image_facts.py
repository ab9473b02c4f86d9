"""What an audit keeps of one image, and what it is asked to measure.

T crops of one image, D pixels of a thumbnail, h w picture.
"""

import dataclasses
from collections.abc import Collection

import numpy as np
from jaxtyping import Float, Float32, UInt8

from vae_jax.audit.borders import Borders
from vae_jax.data.framing import Framing
from vae_jax.data.region import Region


@dataclasses.dataclass(frozen=True)
class MaskArea:
    """How much the masks of one image mark, in pixels of the stored image.

    Attributes:
        marked: marked pixels.
        visible: marked pixels that the model sees; all of them where images are cut into tiles.
        total: pixels of the mask.
    """

    marked: int
    visible: int
    total: int


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """What is kept of one image.

    Attributes:
        width, height: pixels of the upright image.
        num_bytes: size of the file.
        file_format: name of the format, as Pillow calls it.
        kind: channels and bits of a stored pixel, for example "RGB, 8 bits".
        is_coloured: whether a pixel has channels that differ.
        quantisation: mean of the first quantisation table of a JPEG; 0 for other formats.
        levels: a row of `Examples.stored_levels`.
        digest: hash of the upright pixels, equal for a grey image that is stored as RGB.
        std: standard deviation of the grey levels.
        black, white: shares of the pixels that are nearly black, or nearly white.
        borders: borders of the whole image.
        visible_borders: borders of what the model sees; None if nothing of the image is used.
        out_of_view: share of the area that the model does not see.
        mask: area of its masks; None without a mask.
        features: trivial features of each crop, F columns.
        crop_digests: hash of the pixels of each crop.
        thumbnails: thumbnail of each crop, for the comparison of images; of none if they are not kept.
        has_defect: whether the mask marks a pixel of each crop.
        picture: small picture of the whole image, for the page; None if it was not asked for.
        problem: why tiles cannot be cut; "" if they can.
    """

    width: int
    height: int
    num_bytes: int
    file_format: str
    kind: str
    is_coloured: bool
    quantisation: float
    levels: tuple[int | float, ...]
    digest: bytes
    std: float
    black: float
    white: float
    borders: Borders
    visible_borders: Borders | None
    out_of_view: float
    mask: MaskArea | None
    features: dict[str, Float[np.ndarray, "T"]]
    crop_digests: list[bytes]
    thumbnails: Float32[np.ndarray, "T D"] | None
    has_defect: list[bool]
    picture: UInt8[np.ndarray, "h w 3"] | None
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        framing: which parts of a stored image the model sees.
        mask_values: which values of a mask are abnormal, a rule of `mask_levels.py`.
        max_pixels: images with more pixels count as unreadable.
        region: pixels that count in the square that the model sees; None where all of them do.
        pictured: files of which a picture is kept.
        keeps_thumbnails: whether thumbnails are kept.
    """

    framing: Framing
    mask_values: str
    max_pixels: int
    region: Region | None
    pictured: Collection[str]
    keeps_thumbnails: bool
