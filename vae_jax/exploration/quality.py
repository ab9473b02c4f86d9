"""How near sets of images come to real ones, by the features of one network.

D features, K classes.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32

from vae_jax.errors import UserError
from vae_jax.metrics import generation

_LEAST = 10  # images behind a covariance
_IN_A_SPLIT = 100  # images of each part of the Inception Score, which falls where they are fewer

# Features and class probabilities of the same images.
Looked = tuple[Float32[np.ndarray, "_ D"], Float32[np.ndarray, "_ K"]]


@dataclasses.dataclass(frozen=True)
class Quality:
    """Figures of one set of images against the reference.

    Attributes:
        frechet_distance: 0 is best; also falls as the number of images grows.
        kernel_distance: 0 is best, unbiased at any number of images.
        inception_score: from 1 to the number of classes.
        inception_score_deviation: over its parts; None where there is one.
    """

    frechet_distance: float
    kernel_distance: float
    inception_score: float
    inception_score_deviation: float | None


def require(count: int) -> None:
    """Refuses sets of `count` images where they are too few to compare.

    Raises:
        UserError: if there are fewer than ten.
    """
    if count < _LEAST:
        raise UserError(
            f"{count} images are too few to compare distributions by; raise explore.generated, or take a "
            f"dataset with at least {2 * _LEAST} normals that are not trained on"
        )


def compare(reference: Looked, sets: Mapping[str, Looked]) -> dict[str, Quality]:
    """Compares each set with the reference, as many images in every set as there are in that.

    Args:
        reference: real images that the network has not learnt from: on those that it has, its features
            differ from those of any other image, so that not even real images would be near.
        sets: name -> images.

    Raises:
        UserError: if there are fewer than ten.
        ValueError: if the numbers differ, because the Fréchet distance depends on them.
    """
    real, _ = reference
    require(len(real))
    moments = generation.moments(real)
    found = {}
    for name, (made, probabilities) in sets.items():
        if len(made) != len(real):
            raise ValueError(f"{name} has {len(made)} images and not {len(real)}")
        splits = min(10, max(1, len(made) // _IN_A_SPLIT))
        score, deviation = generation.inception_score(probabilities, splits)
        found[name] = Quality(
            generation.frechet_distance(moments, generation.moments(made)),
            generation.kernel_distance(real, made),
            score,
            deviation if splits > 1 else None,
        )
    return found
