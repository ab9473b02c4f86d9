"""Observers whose values are standardised: they observe images in memory as a trained model reads them.

N images, H W image, C channels.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.data.image_store import Images
from vae_jax.observation.observers import Observer
from vae_jax.observation.standardise import Standardiser
from vae_jax.observation.store import iterate_observations


@dataclasses.dataclass(frozen=True)
class StandardisedObserver:
    """An observer, and how its values are standardised.

    Attributes:
        observer: computes the observations.
        standardisers: name of an array -> how it is standardised.
    """

    observer: Observer
    standardisers: dict[str, Standardiser]

    def compute(
        self, images: UInt8[Images, "N H W C"], description: str | None = None
    ) -> dict[str, Float[np.ndarray, "N ..."]]:
        """Returns name of an array -> standardised observations; the disk is neither read nor written.

        Args:
            images: images of the size of the dataset, at least one.
            description: text of a progress bar; None shows no bar.
        """
        parts = [
            {name: self.standardisers[name].apply(array) for name, array in values.items()}
            for _, values in iterate_observations(
                self.observer, images, np.arange(len(images)), description
            )
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
