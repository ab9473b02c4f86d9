"""The region of interest as `data.roi` names it, at the size that the model sees."""

import pathlib

import ml_collections
import numpy as np
from jaxtyping import Bool
from PIL import Image

from vae_jax.errors import UserError

# The dataset's own region lies beside its images.
OF_DATASET = "roi.png"


def load(data: ml_collections.ConfigDict) -> Bool[np.ndarray, "H W"] | None:
    """Returns which pixels count; None where all do.

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
        return _ellipse(data.image_size)
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
    return mask


def _ellipse(size: int) -> Bool[np.ndarray, "H W"]:
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(rows, columns) <= size / 2
