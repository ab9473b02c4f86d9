"""Groups and roles of the images of a dataset, which are those of whole images where images are tiles.

N images, M images of a role.
"""

import dataclasses

import ml_collections
import numpy as np
from jaxtyping import Bool, Int

from vae_jax.data import splits
from vae_jax.data.builders.base import ImageDatasetBuilder
from vae_jax.data.examples import Examples
from vae_jax.data.framing import Framing
from vae_jax.data.near_duplicates import group_near_duplicates
from vae_jax.data.tiling import index_images
from vae_jax.data.whole_images import shrink_whole_images, take_whole_images

_COMPARED_SIDE = 64  # of a whole image that is compared with others to find near-duplicates, pixels


def _find_test_only(images: Examples, builder: ImageDatasetBuilder) -> Bool[np.ndarray, "N"]:
    """Returns which images may only be in test: tiles without a defect of images with one."""
    return np.isin(images.classes, list(builder.CLEAN_TILES.values()))


def group_whole_images(
    examples: Examples, framing: Framing, builder: ImageDatasetBuilder, dataset: str
) -> list[str]:
    """Returns the group of each row, after whole images that nearly agree were given one group.

    Args:
        examples: all images of a dataset, with labels.
        framing: whether they are tiles, or padded.
        builder: builder of the dataset.
        dataset: its name, for the log.
    """
    images = take_whole_images(examples)
    if framing.covers_image:
        images = dataclasses.replace(
            images, images=shrink_whole_images(examples, _COMPARED_SIDE), masks=None
        )
    test_only = _find_test_only(images, builder)
    groups = group_near_duplicates(images, test_only, framing.framing == "pad", dataset)
    if framing.covers_image:
        return [groups[image] for image in index_images(examples.files)]
    return groups


def assign_roles(
    examples: Examples,
    builder: ImageDatasetBuilder,
    data_config: ml_collections.ConfigDict,
    seed: int,
) -> dict[str, Int[np.ndarray, "M"]]:
    """Returns role -> its rows. All tiles that cover an image have the role of the image.

    Args:
        examples: all images of a dataset, with labels and groups.
        builder: builder of the dataset.
        data_config: the `data` group of the config, for the fractions.
        seed: seed of the split.

    Raises:
        UserError: if a role would have no normal image.
    """
    images = take_whole_images(examples)
    rows_of_role = _assign_image_roles(images, _find_test_only(images, builder), data_config, seed)
    if examples.boxes is None:
        return rows_of_role
    image_of_tile = index_images(examples.files)
    return {
        role: np.flatnonzero(np.isin(image_of_tile, rows)) for role, rows in rows_of_role.items()
    }


def _assign_image_roles(
    images: Examples,
    test_only: Bool[np.ndarray, "N"],
    data_config: ml_collections.ConfigDict,
    seed: int,
) -> dict[str, Int[np.ndarray, "M"]]:
    """Returns role -> rows of its whole images."""
    rows_of_role = splits.assign_roles(
        images.labels,
        images.groups,
        images.official_test,
        splits.Fractions(
            data_config.val_fraction, data_config.calibration_fraction, data_config.test_fraction
        ),
        seed,
        test_only=test_only,
        files=images.files,
    )
    if data_config.balanced_test:
        rows_of_role["test"] = splits.balance_test(
            rows_of_role["test"], images.labels, images.files, seed
        )
    return rows_of_role
