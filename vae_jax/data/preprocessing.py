"""How a stored image becomes what the model sees: the same for the images of a run and for new ones.

T crops of one image, H W image that the model sees, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import UInt8

from vae_jax.data.binarise import binarise
from vae_jax.data.crops import Crops, cut_crops
from vae_jax.data.framing import Framing
from vae_jax.data.image_store import zero_outside_region
from vae_jax.data.material_contrast import MaterialLevels
from vae_jax.data.prepare import BUILDERS
from vae_jax.data.region import Region
from vae_jax.errors import UserError
from vae_jax.validate import HIGHEST_MAX_PIXELS


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Everything that changes a pixel between the stored file and the model.

    Attributes:
        dataset: name of the dataset, whose file names may tell a material.
        framing: which parts of an image are used, their size, and how stored values become grey levels; no
            percentile is left in it.
        region: pixels that count; the others become black. None if all of them count.
        material_levels: material -> new value of each grey level; None unless `data.normalise` is material.
        max_pixels: images with more pixels are refused.
        is_binary: whether images become black and white, by one fixed draw each.
    """

    dataset: str
    framing: Framing
    region: Region | None = None
    material_levels: MaterialLevels | None = None
    max_pixels: int = HIGHEST_MAX_PIXELS
    is_binary: bool = False

    def apply(self, encoded: bytes, file: str) -> Crops:
        """Decodes an image and returns its crops as the model sees them.

        Args:
            encoded: content of the file.
            file: its name or path, which tells the material if the dataset records materials.

        Raises:
            UserError: if its material is not one of those that the model was trained on, or it cannot be
                cut into tiles.
            Exception: whatever Pillow raises for a damaged file.
        """
        crops = cut_crops(encoded, None, self.framing)
        return dataclasses.replace(crops, images=self.adapt(crops.images, file))

    def adapt(
        self, images: UInt8[np.ndarray, "T H W C"], file: str
    ) -> UInt8[np.ndarray, "T H W C"]:
        """Returns crops with the grey levels of their material, black where no pixel counts, binary or not.

        Args:
            images: crops as they were decoded.
            file: name or path of their file.

        Raises:
            UserError: if its material is not one of those that the model was trained on.
        """
        if self.material_levels is not None:
            material = BUILDERS[self.dataset].parse_material(file)
            if material not in self.material_levels:
                known = ", ".join(sorted(self.material_levels))
                raise UserError(
                    f"its name tells the material {material or 'unknown'}, but the model was trained on "
                    f"{known}; name the file as the dataset does"
                )
            images = self.material_levels[material][images]
        return self.finish(images)

    def finish(self, images: UInt8[np.ndarray, "T H W C"]) -> UInt8[np.ndarray, "T H W C"]:
        """Returns the images, black outside the region; and black and white if those of the run are."""
        if self.region is not None:
            images = np.asarray(zero_outside_region(images, self.region.mask))
        return binarise(images) if self.is_binary else images
