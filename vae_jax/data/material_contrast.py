"""Gives the images of all materials the same mean and contrast, so that a model need not learn them.

The statistics are those of training images alone, so a test image that is darker or brighter than its
material usually is stays so. N images, M training images, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data.examples import Examples
from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.errors import UserError

MEAN = 0.5  # mean of each material, of images in [0, 1]
DEVIATION = 0.15  # standard deviation of each material; [0, 1] is then the mean ± 3.3 of them

_NUM_LEVELS = 256


# Material -> new value of each grey level.
MaterialLevels = dict[str, UInt8[np.ndarray, "256"]]


def fit_material_levels(
    examples: Examples, train_rows: Int[np.ndarray, "M"], dataset: str
) -> MaterialLevels:
    """Fits the map of the grey levels of each material on its training images.

    The map of a material is linear. It gives the training images of this material the mean `MEAN` and the
    standard deviation `DEVIATION`.

    Args:
        examples: images of all roles.
        train_rows: rows of the training images; no other image has an influence on the maps.
        dataset: name of the dataset, for messages.

    Raises:
        UserError: if the dataset records no materials, a material has no training image, or the images stay
            on disk.
    """
    if examples.materials is None:
        raise UserError(
            f"data.normalise is material, but the materials of the images of {dataset} are unknown; set "
            "data.normalise=none"
        )
    if isinstance(examples.images, ImagesOnDisk):
        raise UserError(
            f"data.normalise is material, which needs the images of {dataset} in memory, but they stay on "
            "disk; set data.cache=host, or data.normalise=none"
        )
    levels = {}
    for material, rows in _group_rows(examples).items():
        train_rows_of_material = np.intersect1d(rows, train_rows)
        if not len(train_rows_of_material):
            raise UserError(
                f"{dataset}: no training image has the material {material or 'unknown'}, so its grey "
                "levels cannot be normalised; set data.normalise=none, or take another seed"
            )
        levels[material] = _fit_levels(examples.images[train_rows_of_material])
    return levels


def normalise_materials(examples: Examples, levels: MaterialLevels) -> Examples:
    """Returns the examples with grey levels mapped per material.

    Args:
        examples: images in memory, each of a known material.
        levels: the result of `fit_material_levels`.
    """
    images = np.empty_like(examples.images)
    for material, rows in _group_rows(examples).items():
        images[rows] = levels[material][examples.images[rows]]
    return dataclasses.replace(examples, images=images)


def _group_rows(examples: Examples) -> dict[str, Int[np.ndarray, "M"]]:
    """Returns material -> rows of its images."""
    materials = np.array(examples.materials)
    return {str(name): np.flatnonzero(materials == name) for name in np.unique(materials)}


def _fit_levels(images: UInt8[np.ndarray, "M H W C"]) -> UInt8[np.ndarray, "256"]:
    """Returns the new value of each grey level, after which these images have `MEAN` and `DEVIATION`."""
    counts = np.bincount(images.ravel(), minlength=_NUM_LEVELS)
    levels = np.arange(_NUM_LEVELS)
    mean = np.average(levels, weights=counts)
    deviation = np.sqrt(np.average(np.square(levels - mean), weights=counts))
    scaled = MEAN + DEVIATION * (levels - mean) / max(deviation, 1e-6)
    return np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
