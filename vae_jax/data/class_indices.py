"""The class of each image as the number that a conditional model is given.

N images.
"""

import numpy as np
from jaxtyping import Int32

from vae_jax.data.pipeline import Dataset, Examples
from vae_jax.errors import UserError

UNKNOWN = -1  # index of a class that no training normal has


def class_names(dataset: Dataset) -> list[str]:
    """Returns the classes of the training normals, in the order of their indices."""
    return sorted(set(dataset.train.classes))


def class_indices(
    dataset: Dataset, examples: Examples, num_classes: int, all_known: bool = False
) -> Int32[np.ndarray, "N"] | None:
    """Returns the index of each image's class, `UNKNOWN` for a class that no training normal has.

    Args:
        dataset: names the classes.
        examples: the images.
        num_classes: `model.num_classes`; with 0 the model is not conditional, and None is returned.
        all_known: refuses images of an unknown class, as `scoring.condition=given` needs it.

    Raises:
        UserError: if the training normals have another number of classes, or a class is unknown and may
            not be.
    """
    if not num_classes:
        return None
    names = class_names(dataset)
    if len(names) != num_classes:
        raise UserError(
            f"model.num_classes is {num_classes}, but the training normals have {len(names)} classes "
            f"({', '.join(names)}); take --config.model.num_classes={len(names)}"
        )
    index_of = {name: index for index, name in enumerate(names)}
    indices = np.array([index_of.get(name, UNKNOWN) for name in examples.classes], np.int32)
    if all_known and np.any(indices == UNKNOWN):
        row = int(np.argmax(indices == UNKNOWN))
        raise UserError(
            f"scoring.condition is given, but {examples.files[row]} has the class "
            f"{examples.classes[row]}, which no training normal has; take "
            "--config.scoring.condition=marginal"
        )
    return indices
