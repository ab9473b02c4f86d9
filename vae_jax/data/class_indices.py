"""The class of each image as the index that a conditional model is given.

N images.
"""

import numpy as np
from jaxtyping import Int32

from vae_jax.data.examples import Dataset, Examples
from vae_jax.errors import UserError

UNKNOWN = -1  # index of a class that has no training image


def list_class_names(dataset: Dataset) -> list[str]:
    """Returns the classes of the training images, in the order of their indices."""
    return sorted(set(dataset.train.classes))


def index_classes(
    dataset: Dataset, examples: Examples, num_classes: int, all_known: bool = False
) -> Int32[np.ndarray, "N"] | None:
    """Returns the index of the class of each image, `UNKNOWN` for a class that has no training image.

    Args:
        dataset: dataset whose training images define the classes.
        examples: images whose classes are looked up.
        num_classes: `model.num_classes`; 0 if the model is not conditional, and None is returned.
        all_known: whether an unknown class is refused, as `scoring.condition=given` requires.

    Raises:
        UserError: if the training images have another number of classes, or a class is unknown although
            `all_known` is set.
    """
    if not num_classes:
        return None
    names = list_class_names(dataset)
    if len(names) != num_classes:
        raise UserError(
            f"model.num_classes is {num_classes}, but the training images have {len(names)} classes "
            f"({', '.join(names)}); set --config.model.num_classes={len(names)}"
        )
    index_of = {name: index for index, name in enumerate(names)}
    indices = np.array([index_of.get(name, UNKNOWN) for name in examples.classes], np.int32)
    if all_known and np.any(indices == UNKNOWN):
        row = int(np.argmax(indices == UNKNOWN))
        raise UserError(
            f"scoring.condition is given, but {examples.files[row]} has the class "
            f"{examples.classes[row]}, which no training image has; set "
            "--config.scoring.condition=marginal"
        )
    return indices
