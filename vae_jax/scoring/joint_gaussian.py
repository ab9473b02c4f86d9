"""One Gaussian of the whole image: the mean of its deepest features, and how left differs from right.

It suits diffuse disease, which changes the whole image a little, and images that are nearly symmetric, such
as a chest X-ray, where left and right look alike in normals.

n training normals, B batch, F entries of a vector, P pooled features.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from threadpoolctl import threadpool_limits

from vae_jax.scoring.latent import Gaussian
from vae_jax.scoring.view import TrainingNormals, View
from vae_jax.scoring.whitening import fit_whitening

# An entry whose standard deviation is below this share of its largest absolute value is constant but for
# rounding.
_CONSTANT = 1e-5

_EXACT = jax.lax.Precision.HIGHEST  # on a GPU, TF32 would round small distances away


def fit_joint(normals: TrainingNormals) -> Gaussian:
    """Fits the score `joint` on training normals."""
    symmetry = normals.scoring_config.symmetry
    return fit_joint_gaussian(np.asarray(join_pooled(normals.pooled(), symmetry=symmetry)))


def joint(view: View) -> Float[Array, "B"]:
    """Mahalanobis distance of the pooled deepest features from training normals. Cost: the features.

    With `scoring.symmetry`, the vector contains the left half minus the right half, too.
    """
    vectors = join_pooled(view.pooled, symmetry=view.scoring_config.symmetry)
    return measure_joint_distance(view.fits["joint"], vectors)


def join_pooled(
    pooled: Float[Array | np.ndarray, "B 2 P"], *, symmetry: bool
) -> Float[Array | np.ndarray, "B F"]:
    """Turns the pooled features of each image into one vector.

    Args:
        pooled: two rows per image, of `observation.features`: the mean of the deepest features, and the
            mean of their left half minus that of their right half.
        symmetry: whether left and right of a normal image look alike, `scoring.symmetry`.

    Returns:
        The mean and, with `symmetry`, the difference after it: 2 P entries, else P.
    """
    return pooled.reshape(pooled.shape[0], -1) if symmetry else pooled[:, 0]


def fit_joint_gaussian(vectors: Float[np.ndarray, "n F"]) -> Gaussian:
    """Fits a Gaussian with shrunk full covariance to the vectors of training normals.

    Each entry is first standardised, because the shrinkage takes all entries to have about the same
    variance. An entry that is constant over training normals, such as a feature that none of them has, is
    divided by the mean standard deviation of the others. The whitening matrix contains this step.

    Raises:
        UserError: if there are fewer than two training normals.

    Source: Rippel, Mertens and Merhof 2021, "Modeling the distribution of normal data in pre-trained deep
    features for anomaly detection"; shrinkage by Ledoit and Wolf 2004.
    """
    vectors = vectors.astype(np.float64)
    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0)
    varies = deviation > _CONSTANT * np.abs(vectors).max(axis=0)
    deviation[~varies] = deviation[varies].mean() if varies.any() else 1
    with threadpool_limits(1):  # a few threads gain little here, and on busy cores they lose a lot
        _, whiten = fit_whitening((vectors - mean) / deviation)
    return Gaussian(mean.astype(np.float32), (whiten / deviation[:, None]).astype(np.float32))


def measure_joint_distance(gaussian: Gaussian, vectors: Float[Array, "B F"]) -> Float[Array, "B"]:
    """Returns the Mahalanobis distance of each vector from training normals, in standard deviations."""
    whitened = jnp.matmul(vectors - gaussian.mean[None], gaussian.whiten, precision=_EXACT)
    return jnp.linalg.norm(whitened, axis=1)
