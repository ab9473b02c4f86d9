"""The dataset of an estimator: arrays of normal images, each of which has a role.

N images, D numbers of an image, H W image that the model sees, C channels.
"""

import dataclasses
import hashlib
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Num, UInt8

from vae_jax.data.array_images import fit_intensity, fold_rows, frame_arrays
from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.framing import Framing
from vae_jax.data.held_out import hold_out
from vae_jax.data.pipeline import binarise_role
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.data.region import load_region
from vae_jax.data.splits import Fractions


def make_dataset(
    config: ml_collections.ConfigDict,
    rows: Num[np.ndarray, "N D"],
    shape: tuple[int, int, int],
    groups: list[str],
    value_range: tuple[Any, Any] | None,
) -> Dataset:
    """Returns the images as the model sees them, divided into roles; no image is in `test`.

    Args:
        config: resolved config, whose seed determines the roles.
        rows: the images.
        shape: height, width and channels of an image.
        groups: group of each image; no group is in two roles.
        value_range: numbers that become black and white; None fits them to the training images.

    Raises:
        UserError: if there are too few groups, or `value_range` is empty.
    """
    fractions = Fractions(config.data.val_fraction, config.data.calibration_fraction, 0.0)
    rows_of_role = hold_out(groups, fractions, config.seed)
    framing = Framing(
        config.data.image_size,
        shape[2],
        config.data.crop,
        intensity=fit_intensity(rows[rows_of_role["train"]], value_range),
        framing=config.data.framing,
    )
    preprocessing = Preprocessing(
        "folder", framing, load_region(config.data), is_binary=bool(config.data.binarise)
    )
    images = frame_rows(rows, shape, dataclasses.replace(preprocessing, is_binary=False))
    count = len(images)
    examples = Examples(
        images=images,
        labels=np.zeros(count, np.int32),
        classes=["normal"] * count,
        files=[f"image {i}" for i in range(count)],
        groups=groups,
        stored_size=np.zeros((count, 3), np.int32),
        has_mask=np.zeros(count, bool),
    )
    return Dataset(
        name="arrays",
        fingerprint=hashlib.sha256(images.tobytes()).hexdigest()[:16],
        image_size=framing.image_size,
        channels=framing.channels,
        test=examples.take(np.arange(0)),
        region=preprocessing.region,
        preprocessing=preprocessing,
        **{
            role: binarise_role(examples.take(role_rows), config.data.binarise, role)
            for role, role_rows in rows_of_role.items()
        },
    )


def frame_rows(
    rows: Num[np.ndarray, "N D"], shape: tuple[int, int, int], preprocessing: Preprocessing
) -> UInt8[np.ndarray, "N H W C"]:
    """Returns what the model sees of images that are rows of numbers."""
    framing = preprocessing.framing
    images = frame_arrays(fold_rows(rows, shape, framing.intensity.low), framing)
    return preprocessing.finish(images)
