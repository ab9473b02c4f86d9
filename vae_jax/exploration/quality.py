"""How near sets of images come to training images, by the features of one network.

N images, D features.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import UInt8

from vae_jax.errors import UserError
from vae_jax.exploration.features import Features
from vae_jax.metrics import generation

_LEAST = 10  # images behind a covariance
_IN_A_SPLIT = 100  # images of each part of the Inception Score, which falls where they are fewer


@dataclasses.dataclass(frozen=True)
class Quality:
    """Figures of one set of images against training images.

    Attributes:
        frechet_distance: 0 is best; also falls as the number of images grows.
        kernel_distance: 0 is best, unbiased at any number of images.
        inception_score: from 1 to the number of classes.
        inception_score_deviation: over its parts.
    """

    frechet_distance: float
    kernel_distance: float
    inception_score: float
    inception_score_deviation: float


def compare(
    features: Features,
    train: UInt8[np.ndarray, "N H W C"],
    sets: Mapping[str, np.ndarray],
) -> dict[str, Quality]:
    """Compares each set with training images, as many in every set as there are of them.

    Args:
        features: of one network for all.
        train: real images.
        sets: name -> as many images, uint8 as stored or float32 in [0, 1].

    Raises:
        UserError: if there are fewer than ten.
        ValueError: if the numbers differ, because the Fréchet distance depends on them.
    """
    if len(train) < _LEAST:
        raise UserError(
            f"{len(train)} images are too few to compare distributions by; raise explore.generated, or "
            f"take a dataset with at least {_LEAST} training and {_LEAST} held-out normals"
        )
    real, _ = features.look(train)
    moments = generation.moments(real)
    found = {}
    for name, images in sets.items():
        if len(images) != len(train):
            raise ValueError(f"{name} has {len(images)} images and not {len(train)}")
        made, probabilities = features.look(images)
        splits = min(10, max(1, len(images) // _IN_A_SPLIT))
        score, deviation = generation.inception_score(probabilities, splits)
        found[name] = Quality(
            generation.frechet_distance(moments, generation.moments(made)),
            generation.kernel_distance(real, made),
            score,
            deviation,
        )
    return found
