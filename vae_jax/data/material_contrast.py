"""Each material brought to one mean and one contrast, so that a model need not tell fabrics by brightness.

The statistics come from training normals alone; what another light does to a test image stays in it.
N images, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Int, UInt8

from vae_jax.data.image_store import ImagesOnDisk
from vae_jax.data.table import Table
from vae_jax.errors import UserError

MEAN = 0.5  # of each material, on [0, 1] images
DEVIATION = 0.15  # leaves [0, 1] to what lies more than 3.3 standard deviations from the mean

_LEVELS = 256


def by_material(table: Table, train: Int[np.ndarray, "M"], dataset: str) -> Table:
    """Returns the table with grey levels mapped so that training normals of each material are alike.

    Args:
        table: all images.
        train: indices of the training normals, all that is looked at.
        dataset: its name, for the message.

    Raises:
        UserError: if the dataset knows of no materials, one of them has no training normal,
            or the images stay on disk.
    """
    if table.materials is None:
        raise UserError(
            f"data.normalise is material, but {dataset} does not say what its images are made of; take "
            "data.normalise=none"
        )
    if isinstance(table.images, ImagesOnDisk):
        raise UserError(
            f"data.normalise is material, for which the images of {dataset} must be in memory, and they "
            "stay on disk; take data.cache=host, or data.normalise=none"
        )
    materials = np.array(table.materials)
    images = np.empty_like(table.images)
    for material in np.unique(materials):
        rows = np.flatnonzero(materials == material)
        known = np.intersect1d(rows, train)
        if not len(known):
            raise UserError(
                f"{dataset}: no training normal is of material {material or 'unknown'}, so nothing is "
                "known of its grey levels; take data.normalise=none, or another seed"
            )
        images[rows] = _levels(table.images[known])[table.images[rows]]
    return dataclasses.replace(table, images=images)


def _levels(images: UInt8[np.ndarray, "M H W C"]) -> UInt8[np.ndarray, "256"]:
    """Returns what each grey level becomes: mean and deviation of these images brought to the common."""
    counts = np.bincount(images.ravel(), minlength=_LEVELS)
    levels = np.arange(_LEVELS)
    mean = np.average(levels, weights=counts)
    deviation = np.sqrt(np.average(np.square(levels - mean), weights=counts))
    scaled = MEAN + DEVIATION * (levels - mean) / max(deviation, 1e-6)
    return np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
