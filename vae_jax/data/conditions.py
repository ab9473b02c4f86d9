"""The class of each image as the number that a conditional model is given.

N images.
"""

import ml_collections
import numpy as np
from jaxtyping import Int32

from vae_jax.data.pipeline import Dataset, Examples
from vae_jax.errors import UserError

UNKNOWN = -1  # a class that no training normal has


def class_names(dataset: Dataset) -> list[str]:
    """Returns the classes of the training normals, in the order of their numbers."""
    return sorted(set(dataset.train.classes))


def conditions(
    config: ml_collections.ConfigDict, dataset: Dataset, examples: Examples
) -> Int32[np.ndarray, "N"] | None:
    """Returns the number of each image's class; None where the model is not conditional.

    Raises:
        UserError: if the model is made for another number of classes, or classes are to be given and an
            image has none that the model knows.
    """
    if not config.model.num_classes:
        return None
    names = class_names(dataset)
    if len(names) != config.model.num_classes:
        raise UserError(
            f"model.num_classes is {config.model.num_classes}, and the training normals have "
            f"{len(names)} classes ({', '.join(names)}); take --config.model.num_classes={len(names)}"
        )
    numbers = {name: number for number, name in enumerate(names)}
    found = np.array([numbers.get(name, UNKNOWN) for name in examples.classes], np.int32)
    if config.scoring.condition == "given" and np.any(found == UNKNOWN):
        stranger = examples.classes[int(np.argmax(found == UNKNOWN))]
        raise UserError(
            f"scoring.condition is given, but no training normal has the class {stranger} of "
            f"{examples.files[int(np.argmax(found == UNKNOWN))]}; take --config.scoring.condition=marginal"
        )
    return found
