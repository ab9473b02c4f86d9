"""How a stored image becomes squares that the model sees: one square of it, tiles along its longer side, or
tiles that cover it.
"""

import dataclasses

import ml_collections

from vae_jax.data.intensity import FULL, Intensity, parse_intensity
from vae_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Framing:
    """How a stored image becomes square crops; the fields have the names of the `data` group.

    Attributes:
        image_size: H and W, pixels.
        channels: C, 1 grey or 3 RGB.
        crop: share of the sides that is visible; see `squaring.cut_centre`.
        tile_stride: pixels of the stored image from one tile to the next; 0 takes one square, or with the
            framing "tiles" half a tile.
        max_saturated: a crop with a larger share of near-white pixels is not used.
        intensity: how stored values become grey levels.
        framing: how an image that is not square becomes one, "crop", "stretch" or "pad", see `squaring`; or
            "tiles", which cover the image, see `tiling`. "auto" must be replaced by one of them first.
        background: "black" or "white", what shines through transparent pixels.
        tile_size: side of a tile that covers an image, pixels of the stored image; 0 is `image_size`.
    """

    image_size: int
    channels: int
    crop: float = 1.0
    tile_stride: int = 0
    max_saturated: float = 1.0
    intensity: Intensity = FULL
    framing: str = "crop"
    background: str = "black"
    tile_size: int = 0

    def __post_init__(self) -> None:
        if self.tile_stride and self.framing in ("stretch", "pad"):
            raise UserError(
                f"data.framing is {self.framing} and data.tile_stride is {self.tile_stride}, but only "
                "tiles have a stride; set data.framing=tiles, or data.tile_stride=0"
            )
        if self.framing in ("tiles", "auto") and self.tile_stride > self.tile_side:
            raise UserError(
                f"data.tile_stride is {self.tile_stride}, which leaves gaps between tiles of "
                f"{self.tile_side} pixels; set it to at most {self.tile_side}, or raise data.tile_size"
            )
        if self.cuts_strips and self.tile_size:
            raise UserError(
                f"data.tile_size is {self.tile_size}, but with data.framing=crop and a data.tile_stride a "
                "tile spans the whole shorter side; set data.tile_size=0, or data.framing=tiles"
            )
        if self.cuts_strips and self.crop != 1:
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
    def covers_image(self) -> bool:
        """Whether an image is cut into tiles that cover it, and is judged as a whole."""
        return self.framing == "tiles"

    @property
    def cuts_strips(self) -> bool:
        """Whether an image is cut into tiles along its longer side, each of which is judged by itself."""
        return self.framing == "crop" and self.tile_stride > 0

    @property
    def tile_side(self) -> int:
        """Side of a tile that covers an image, pixels of the stored image."""
        return self.tile_size or self.image_size

    @property
    def piece_crop(self) -> float:
        """Share of the sides of a piece that is visible; tiles lie in the visible part and are whole."""
        return 1.0 if self.covers_image else self.crop

    @property
    def key(self) -> str:
        """Part of a file name; different framings have different keys."""
        parts = [f"{self.image_size}px", f"{self.channels}c", f"crop{self.crop:g}"]
        if self.framing != "crop":
            parts.append(self.framing)
        if self.background != "black":
            parts.append(self.background)
        if self.covers_image:
            parts.append(f"{self.tile_side}by{self.tile_stride}")
        elif self.tile_stride:
            parts.append(f"tiles{self.tile_stride}")
        if self.max_saturated < 1:
            parts.append(f"saturated{self.max_saturated:g}")
        if self.intensity.kind != "full":
            parts.append(self.intensity.key)
        return "-".join(parts)
