"""The baseline `band_energy`: the distance to the nearest training normal in texture.

The error of a pixel autoencoder is dominated by large structures. Anomalies in medical images are often
changes of texture. Any model should be better than this baseline.

N images, n training normals, h w cells of a grid, K channels of `observation.bands`.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from vae_jax.observation.bands import NUM_BANDS
from vae_jax.scoring.nearest import measure_nearest
from vae_jax.scoring.standardised_pca import StandardisedPCA, fit_standardised_pca

_NUM_COMPONENTS = 64


@dataclasses.dataclass(frozen=True)
class BandEnergyDistance:
    """Distance to the nearest training normal in the principal components of the band energies.

    Attributes:
        space: principal component analysis of the standardised energies.
        train: components of the training normals.
    """

    space: StandardisedPCA
    train: Float[np.ndarray, "n components"]

    def distances(self, bands: Float[np.ndarray, "N h w K"]) -> Float[np.ndarray, "N"]:
        """Returns the distance of each image to the nearest training normal."""
        return measure_nearest(self.train, self.space.transform(_flatten_energies(bands)))


def fit_band_energy(bands: Float[np.ndarray, "n h w K"], seed: int) -> BandEnergyDistance:
    """Fits the `band_energy` baseline on the bands of training normals.

    Args:
        bands: bands of training normals.
        seed: seed of the randomised solver of the PCA.
    """
    energies = _flatten_energies(bands)
    space = fit_standardised_pca(energies, _NUM_COMPONENTS, seed)
    return BandEnergyDistance(space, space.transform(energies))


def _flatten_energies(bands: Float[np.ndarray, "N h w K"]) -> Float[np.ndarray, "N F"]:
    """Returns the energies of all bands and cells, without the local means, in one row per image."""
    return bands[..., :NUM_BANDS].reshape(len(bands), -1)
