"""Maps: many dimensions reduced to two, so that they can be plotted.

N images, D dimensions.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from vae_jax.errors import UserError

_PERPLEXITY = 30.0
_MIN_IMAGES = 5
_TSNE_COMPONENTS = 50  # t-SNE works on this many principal components


def identity(values: Float[np.ndarray, "N 2"], seed: int) -> Float[np.ndarray, "N 2"]:
    """Returns two dimensions unchanged.

    Raises:
        UserError: if there are too few images.
    """
    del seed
    _check(values)
    return values


def pca(values: Float[np.ndarray, "N D"], seed: int) -> Float[np.ndarray, "N 2"]:
    """Returns the two leading principal components, in the units of the values.

    Raises:
        UserError: if there are too few images or only one dimension.
    """
    _check(values)
    return PCA(2, random_state=seed).fit_transform(values.astype(np.float64))


def tsne(values: Float[np.ndarray, "N D"], seed: int) -> Float[np.ndarray, "N 2"]:
    """Returns the t-SNE map of the 50 leading principal components.

    Neighbours on the map are meaningful, distances are not. The perplexity is 30, or a third of the number
    of other images if that is smaller. The same seed gives the same map.

    Raises:
        UserError: if there are too few images or only one dimension.

    Source: van der Maaten and Hinton 2008; PCA as the starting point as in Kobak and Berens 2019.
    """
    _check(values)
    if min(values.shape) > _TSNE_COMPONENTS:
        reduction = PCA(_TSNE_COMPONENTS, svd_solver="randomized", random_state=seed)
        values = reduction.fit_transform(values)
    perplexity = min(_PERPLEXITY, (len(values) - 1) / 3)
    estimator = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return estimator.fit_transform(values.astype(np.float32)).astype(np.float64)


# Heading of a map of codes -> the function that computes it.
MAPS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "latent space": identity,
    "PCA of codes": pca,
    "t-SNE of codes": tsne,
}


def choose_maps(latent_dim: int) -> tuple[str, ...]:
    """Returns the headings of the maps that suit a latent space of this many dimensions."""
    return ("latent space",) if latent_dim == 2 else ("t-SNE of codes", "PCA of codes")


def _check(values: np.ndarray) -> None:
    if len(values) < _MIN_IMAGES:
        raise UserError(
            f"a map needs at least {_MIN_IMAGES} images; found {len(values)}; raise explore.map_images or "
            "take a larger test set"
        )
    if values.shape[1] < 2:
        raise UserError(
            "a map needs a latent space of at least two dimensions; found one; train with "
            "--config.model.latent_dim=2"
        )
