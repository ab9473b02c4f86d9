"""Baseline scores: rules without a network, fitted on the same training normals as the model.

A higher score means a more anomalous image. The direction of every score is fixed before a test image is
seen.

N test images, n training normals, H W image, C channels, P = H W C pixel values, h w cells of a grid, K
channels of `observation.bands`.
"""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, UInt8
from sklearn.decomposition import PCA

from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.observation.bands import compute_stored_bands
from vae_jax.scoring import trivial
from vae_jax.scoring.band_energy import fit_band_energy
from vae_jax.scoring.band_pca import BandPCA, fit_band_pca
from vae_jax.scoring.nearest import measure_nearest

# Random choices of training normals, which bound time and memory.
_MAX_TRIVIAL = 2_000  # images that a trivial feature is compared with
_MAX_NEIGHBOURS = 10_000  # images that a test image is compared with
_MAX_VALUES = 2**27  # pixel values that a PCA is fitted on; 512 MB as float32

_CHUNK = 1024  # test images in memory as floats at the same time


@dataclasses.dataclass(frozen=True)
class PCAResidual:
    """The errors of images that a principal component analysis (PCA) of training normals reconstructs.

    Attributes:
        pca: the analysis, fitted on flattened images in [0, 1].
    """

    pca: PCA

    def squared_errors(self, images: UInt8[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N H W"]:
        """Returns the squared error of each pixel, mean over channels, of a [0, 1] image."""
        x = _flatten(images)
        errors = np.square(x - self.pca.inverse_transform(self.pca.transform(x)))
        return errors.reshape(images.shape).mean(axis=3)


class Baselines:
    """All baselines of one dataset; each is fitted when it is first needed.

    Args:
        train: training normals.
        pca_components: number of components of the `pca` baseline, `scoring.pca_components`.
        seed: seed of the random choice of training normals.
    """

    def __init__(self, train: Examples, pca_components: int, seed: int):
        self._train, self._pca_components, self._seed = train, pca_components, seed
        count, num_values = len(train.images), int(np.prod(train.images.shape[1:]))
        rng = np.random.default_rng(seed)
        self._trivial_rows = draw_rows(count, _MAX_TRIVIAL, rng, in_order=True)
        self._pca_rows = draw_rows(count, _MAX_VALUES // num_values, rng, in_order=True)
        neighbours = draw_rows(len(self._pca_rows), _MAX_NEIGHBOURS, rng, in_order=True)
        self._neighbour_rows = self._pca_rows[neighbours]

    @functools.cached_property
    def pca(self) -> PCAResidual:
        """The `pca` baseline, which also gives a map per image."""
        return fit_pca(self._train.images[self._pca_rows], self._pca_components, self._seed)

    @functools.cached_property
    def band_pca(self) -> BandPCA:
        """The `band_pca` baseline, which also gives a map per image."""
        return fit_band_pca(self._train_bands, self._seed)

    @functools.cached_property
    def _train_bands(self) -> Float[np.ndarray, "n h w K"]:
        return compute_stored_bands(self._train.images[self._neighbour_rows])

    def score(self, test: Examples) -> dict[str, Float[np.ndarray, "N"]]:
        """Computes every baseline score of each test image; the test images are read once.

        Returns:
            `trivial.rarity` of each of `trivial.compute_features`, under the name of the feature. `pca`:
            the mean squared error of a reconstruction from the leading principal components, per pixel of
            a [0, 1] image; this is the best linear autoencoder. `nearest_neighbour`: the root mean
            squared difference to the nearest training image, in [0, 1]. `band_energy`: the distance to
            the nearest training image in energies of bands. `band_pca`: the highest value of the map of
            squared errors of bands that their leading principal components reconstruct.
        """
        train = self._train
        usual = trivial.compute_features(
            train.images[self._trivial_rows], train.stored_size[self._trivial_rows]
        )
        pca = self.pca
        neighbours = train.images[self._neighbour_rows]
        energy_distance = fit_band_energy(self._train_bands, self._seed)
        flat_neighbours = _flatten(neighbours)
        parts, bands = [], []
        for start in range(0, len(test.images), _CHUNK):
            rows = slice(start, start + _CHUNK)
            images = test.images[rows]
            bands.append(compute_stored_bands(images))
            distance = measure_nearest(flat_neighbours, _flatten(images))
            parts.append(
                trivial.compute_features(images, test.stored_size[rows])
                | {
                    "pca": pca.squared_errors(images).mean(axis=(1, 2), dtype=np.float64),
                    "nearest_neighbour": distance / np.sqrt(flat_neighbours.shape[1]),
                    "band_pca": self.band_pca.compute_scores(bands[-1]),
                }
            )
        values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rarities = {name: trivial.rarity(usual[name], values[name]) for name in usual}
        # All test images at once, because a matrix product may round differently in chunks.
        return values | rarities | {"band_energy": energy_distance.distances(np.concatenate(bands))}


def fit_pca(train: UInt8[np.ndarray, "n H W C"], num_components: int, seed: int) -> PCAResidual:
    """Fits a PCA on training normals.

    Args:
        train: training normals.
        num_components: number of components; fewer if there are fewer images or pixel values.
        seed: seed of the randomised solver.
    """
    num_components = min(num_components, len(train), train[0].size)
    return PCAResidual(PCA(num_components, copy=False, random_state=seed).fit(_flatten(train)))


def _flatten(images: UInt8[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N P"]:
    """Returns one row of pixel values in [0, 1] per image."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat /= 255
    return flat
