"""The network whose features measure the quality of generated images.

This module loads Inception-v3 from a file. If no file is given, `classifier.py` trains a small classifier
instead.

N images, D features, K classes.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float32

from vae_jax.data.batches import map_rows
from vae_jax.exploration.inception_file import read_inception
from vae_jax.metrics import inception

_INCEPTION_BATCH = 16  # images per batch; each is enlarged to 299 x 299 pixels


class ImageFeatures(NamedTuple):
    """Outputs of a feature network for N images.

    Attributes:
        values: features.
        probabilities: probability of each class.
    """

    values: Float32[np.ndarray, "N D"]
    probabilities: Float[np.ndarray, "N K"]


@dataclasses.dataclass(frozen=True)
class FeatureNetwork:
    """A network that computes features of images.

    Attributes:
        name: description of the network; it is shown wherever a number depends on the features.
        compute: function from images, uint8 as stored or float32 in [0, 1], to their features.
    """

    name: str
    compute: Callable[[np.ndarray], ImageFeatures]


def load_inception(path: pathlib.Path) -> FeatureNetwork:
    """Returns Inception-v3 with the weights in a file.

    Raises:
        UserError: if the file does not exist or does not hold Inception-v3's weights.
    """
    network, params = read_inception(path)

    @jax.jit
    def apply(params, images):
        features, logits = network.apply({"params": params}, inception.prepare_images(images))
        return ImageFeatures(features, jax.nn.softmax(logits))

    def compute(images):
        if images.dtype == np.uint8:
            images = images / np.float32(255)
        return map_rows(functools.partial(apply, params), _INCEPTION_BATCH, images)

    original = network.num_classes == inception.ORIGINAL_CLASSES
    origin = "of the original Fréchet distance" if original else "of torchvision"
    return FeatureNetwork(f"Inception-v3, weights {origin} ({path.name})", compute)
