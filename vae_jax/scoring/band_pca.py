"""The baseline `band_pca`: the texture that a few principal components do not explain.

The bands of an image are standardised per cell and channel, so that each is compared with the same place of
the training normals. Their leading principal components explain how normal images differ from each other.
What these do not explain is the anomaly map.

N images, n training normals, H W image, h w cells of a grid, K channels of `observation.bands`.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy import ndimage

from vae_jax.observation.bands import CELL
from vae_jax.scoring.standardised_pca import StandardisedPCA, fit_standardised_pca

_NUM_COMPONENTS = 16
SMOOTHING = 1.0  # standard deviation of the Gaussian that smooths a map, cells


@dataclasses.dataclass(frozen=True)
class BandPCA:
    """The errors of bands that a principal component analysis of training normals reconstructs.

    Attributes:
        space: principal component analysis of the standardised bands.
    """

    space: StandardisedPCA

    def compute_maps(self, bands: Float[np.ndarray, "N h w K"]) -> Float[np.ndarray, "N h w"]:
        """Returns the squared error of each cell, summed over channels and smoothed by one cell."""
        errors = self.space.squared_residuals(bands.reshape(len(bands), -1))
        maps = errors.reshape(bands.shape).sum(axis=3)
        return ndimage.gaussian_filter(maps, (0, SMOOTHING, SMOOTHING))

    def compute_scores(self, bands: Float[np.ndarray, "N h w K"]) -> Float[np.ndarray, "N"]:
        """Returns the highest value of each image's map."""
        return self.compute_maps(bands).max(axis=(1, 2)).astype(np.float64)


def fit_band_pca(bands: Float[np.ndarray, "n h w K"], seed: int) -> BandPCA:
    """Fits the `band_pca` baseline on the bands of training normals.

    There are 16 principal components, and in small images at most half as many as values, because all of
    them together would explain every image.

    Args:
        bands: bands of training normals.
        seed: seed of the randomised solver of the PCA.
    """
    values = bands.reshape(len(bands), -1)
    num_components = min(_NUM_COMPONENTS, values.shape[1] // 2)
    return BandPCA(fit_standardised_pca(values, num_components, seed))


def enlarge_maps(
    maps: Float[np.ndarray, "N h w"], height: int, width: int
) -> Float[np.ndarray, "N H W"]:
    """Enlarges maps of cells to the size of the images, by bilinear interpolation between their centres."""
    rows = _make_enlarging_matrix(maps.shape[1], height)
    columns = _make_enlarging_matrix(maps.shape[2], width)
    return rows @ maps @ columns.T


def _make_enlarging_matrix(cells: int, length: int) -> Float[np.ndarray, "length cells"]:
    """Makes the matrix that interpolates the values of a line of cells at each pixel of the line."""
    edges = np.minimum(CELL * np.arange(cells + 1), length)
    centres = (edges[:-1] + edges[1:] - 1) / 2
    pixels = np.arange(length)
    columns = [np.interp(pixels, centres, values) for values in np.eye(cells)]
    return np.stack(columns, axis=1).astype(np.float32)
