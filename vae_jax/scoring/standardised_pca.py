"""A principal component analysis (PCA) of features that are standardised over training normals.

N images, n training normals, F features.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA

# A feature that varies less than this is constant but for rounding in float32.
_MIN_DEVIATION = 1e-5


@dataclasses.dataclass(frozen=True)
class StandardisedPCA:
    """The leading principal components of standardised features.

    Attributes:
        mean: mean of each feature over training normals.
        deviation: standard deviation of each feature; 1 where a feature is constant.
        pca: principal component analysis of the standardised features.
    """

    mean: Float[np.ndarray, "F"]
    deviation: Float[np.ndarray, "F"]
    pca: PCA

    def transform(self, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, "N components"]:
        """Returns the principal components of each image's features."""
        return self.pca.transform(self._standardise(features))

    def squared_residuals(self, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, "N F"]:
        """Returns the squared error of each standardised feature, reconstructed from the components."""
        standardised = self._standardise(features)
        return np.square(
            standardised - self.pca.inverse_transform(self.pca.transform(standardised))
        )

    def _standardise(self, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, "N F"]:
        return (features - self.mean) / self.deviation


def fit_standardised_pca(
    features: Float[np.ndarray, "n F"], num_components: int, seed: int
) -> StandardisedPCA:
    """Fits a PCA on the standardised features of training normals.

    Args:
        features: features of training normals.
        num_components: number of components; fewer if there are fewer images or features.
        seed: seed of the randomised solver.
    """
    # A sum of many values in float32 would make a constant feature vary.
    mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = features.std(axis=0, dtype=np.float64).astype(np.float32)
    deviation[deviation < _MIN_DEVIATION] = 1
    pca = PCA(min(num_components, *features.shape), random_state=seed)
    return StandardisedPCA(mean, deviation, pca.fit((features - mean) / deviation))
