"""The region of interest: the pixels that count in loss, scores, maps and metrics.

B batch, H W image, C channels, P pixels in the region.
"""

import dataclasses
import hashlib
import os
import pathlib

import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float
from PIL import Image

from vae_jax.data.image_file import open_image
from vae_jax.errors import UserError

# File beside the images of a dataset that holds its region; `data.roi=dataset` reads it.
DATASET_FILE = "roi.png"


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """The pixels that count, which are the same for every image.

    Attributes:
        mask: True where a pixel counts; at least one does.
        digest: SHA-256 of the mask if it comes from a file, hexadecimal. "" if the config alone determines
            the mask.
    """

    mask: Bool[np.ndarray, "H W"]
    digest: str = ""

    def select(self, values: Float[Array, "B h w C"]) -> Float[Array, "B 1 P C"]:
        """Returns the values inside the region as one line of pixels, so that sums and means use no others.

        Values on a grid that is smaller than the image, for example SSIM without the border, are centred in
        the image.
        """
        height, width = values.shape[1:3]
        top, left = (self.mask.shape[0] - height) // 2, (self.mask.shape[1] - width) // 2
        inside = np.flatnonzero(self.mask[top : top + height, left : left + width])
        flat = values.reshape(len(values), height * width, -1)
        return flat[:, inside][:, None]

    def shrink(self, cells: int) -> "Region":
        """Returns the region of a grid of `cells` x `cells` cells: the cells of which half or more counts.

        If there is no such cell, every cell counts that contains a pixel of the region.
        """
        image = Image.fromarray(self.mask.astype(np.uint8) * 255)
        share = np.asarray(image.resize((cells, cells), Image.Resampling.BOX))
        mask = share >= 128
        return Region(mask if mask.any() else share > 0, self.digest)

    def zero_outside(self, images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns the images, black outside the region."""
        return images * self.mask[None, :, :, None].astype(np.float32)


def load_region(data_config: ml_collections.ConfigDict) -> Region | None:
    """Returns the region that `data.roi` names; None if it is empty, so that all pixels count.

    With `ellipse` the region is an ellipse that touches the middle of each side. A PNG file is white (at
    least half grey) where pixels count; it covers the square that the model sees, after the crop, and is
    scaled to its size. With `dataset` it is the file `roi.png` in `data.manual_dir`.

    Args:
        data_config: the `data` group of the config.

    Raises:
        UserError: if the file is missing, is not an image, or no pixel counts.
    """
    if not data_config.roi:
        return None
    if data_config.roi == "ellipse":
        return Region(_make_ellipse(data_config.image_size))
    path = pathlib.Path(os.path.expanduser(data_config.roi))
    if data_config.roi == "dataset":
        path = pathlib.Path(data_config.manual_dir).expanduser() / DATASET_FILE
    try:
        with open_image(path) as image:
            size = (data_config.image_size, data_config.image_size)
            grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BOX))
    except FileNotFoundError:
        raise UserError(
            f"data.roi is {data_config.roi}, but there is no file {path}; name a PNG file that is white "
            "where pixels count, or ellipse, or leave data.roi empty to use the whole image"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"data.roi: {path} cannot be read as an image ({' '.join(str(error).split())}); name a PNG file"
        ) from error
    mask = grey >= 128
    if not mask.any():
        raise UserError(f"data.roi: {path} is black everywhere; make it white where pixels count")
    return Region(mask, hashlib.sha256(mask.tobytes()).hexdigest())


def _make_ellipse(size: int) -> Bool[np.ndarray, "H W"]:
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(rows, columns) <= size / 2
