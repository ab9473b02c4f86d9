"""The network whose features judge generated images: Inception-v3 from a file, or a small classifier.

N images, D features, K classes.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float32

from vae_jax.data.batches import map_rows
from vae_jax.data.examples import Dataset
from vae_jax.exploration import classifier, inception_file
from vae_jax.metrics import inception

_INCEPTION_BATCH = 16  # images of 299 x 299

Look = Callable[[np.ndarray], tuple[Float32[np.ndarray, "N D"], Float32[np.ndarray, "N K"]]]


@dataclasses.dataclass(frozen=True)
class Features:
    """What looks at images.

    Attributes:
        name: which network, for everybody who reads a figure that rests on it.
        look: images, uint8 as stored or float32 in [0, 1] -> features and class probabilities.
    """

    name: str
    look: Look


def train_features(dataset: Dataset, epochs: int, seed: int) -> Features:
    """Returns the features of a classifier trained on the dataset's own labels.

    Raises:
        UserError: if the training images have one class.
    """
    found = classifier.fit(dataset.train, (dataset.val, dataset.calibration), epochs, seed)
    return from_classifier(found, dataset.name)


def from_classifier(found: classifier.Classifier, dataset_name: str) -> Features:
    """Returns the features of a classifier, named after what it was trained on and how good it is."""
    name = (
        f"classifier of {dataset_name}, {len(found.classes)} classes, "
        f"{found.accuracy:.3f} right of {found.num_held_out} held-out images"
    )
    return Features(name, found.look)


def from_inception(path: pathlib.Path) -> Features:
    """Returns the features of Inception-v3 with the weights in a file.

    Raises:
        UserError: if the file is missing or holds something else.
    """
    network, params = inception_file.read(path)

    @jax.jit
    def look(params, images):
        features, logits = network.apply({"params": params}, inception.prepare(images))
        return features, jax.nn.softmax(logits)

    def look_at(images):
        if images.dtype == np.uint8:
            images = images / np.float32(255)
        return map_rows(functools.partial(look, params), _INCEPTION_BATCH, images)

    original = network.num_classes == inception.ORIGINAL_CLASSES
    kind = "of the original Fréchet distance" if original else "of torchvision"
    return Features(f"Inception-v3, weights {kind} ({path.name})", look_at)
