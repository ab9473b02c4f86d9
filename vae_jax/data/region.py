"""The region of interest: the pixels that count in loss, scores, maps and metrics.

B batch, H W image, C channels, P pixels in the region.
"""

import dataclasses
import pathlib

import ml_collections
import numpy as np
from jaxtyping import Array, Bool, Float
from PIL import Image

from vae_jax.errors import UserError

# The dataset's own region lies beside its images.
OF_DATASET = "roi.png"


@dataclasses.dataclass(frozen=True, eq=False)
class Region:
    """Which pixels count, the same for every image.

    Attributes:
        mask: True where a pixel counts; at least one does.
    """

    mask: Bool[np.ndarray, "H W"]

    def select(self, values: Float[Array, "B h w C"]) -> Float[Array, "B 1 P C"]:
        """Returns the values inside, as a line of pixels, so that means and sums run over them alone.

        Values of a smaller grid (as of a window that fits inside the image) lie in the image's middle.
        """
        height, width = values.shape[1:3]
        top, left = (self.mask.shape[0] - height) // 2, (self.mask.shape[1] - width) // 2
        inside = np.flatnonzero(self.mask[top : top + height, left : left + width])
        flat = values.reshape(len(values), height * width, -1)
        return flat[:, inside][:, None]

    def zero_outside(self, images: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        """Returns the images, black outside."""
        return images * self.mask[None, :, :, None].astype(np.float32)


def load_region(data: ml_collections.ConfigDict) -> Region | None:
    """Returns the region that `data.roi` names, as the model sees it; None where all pixels count.

    `ellipse` touches the middle of each side. A PNG is white where pixels count (at least half grey) and
    is scaled to the square that the model sees, after the crop; `dataset` takes `roi.png` from
    `data.manual_dir`.

    Args:
        data: the `data` group of the configuration.

    Raises:
        UserError: if there is no such file, it is no image, or no pixel counts.
    """
    if not data.roi:
        return None
    if data.roi == "ellipse":
        return Region(_ellipse(data.image_size))
    path = pathlib.Path(data.roi)
    if data.roi == "dataset":
        path = pathlib.Path(data.manual_dir) / OF_DATASET
    try:
        with Image.open(path) as image:
            size = (data.image_size, data.image_size)
            grey = np.asarray(image.convert("L").resize(size, Image.Resampling.BOX))
    except FileNotFoundError:
        raise UserError(
            f"data.roi is {data.roi}, and there is no file {path}; give a PNG that is white where pixels "
            "count, ellipse, or nothing for the whole image"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"data.roi: {path} cannot be read as an image ({' '.join(str(error).split())})"
        ) from error
    mask = grey >= 128
    if not mask.any():
        raise UserError(f"data.roi: {path} is black everywhere; make it white where pixels count")
    return Region(mask)


def _ellipse(size: int) -> Bool[np.ndarray, "H W"]:
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(rows, columns) <= size / 2
