"""Maps: many dimensions on two, for the eye.

N images, D dimensions.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from vae_jax.errors import UserError

_PERPLEXITY = 30.0
_LEAST = 5  # images that make a map
_BEFORE = 50  # principal components that t-SNE works on


def direct(values: Float[np.ndarray, "N 2"], seed: int) -> Float[np.ndarray, "N 2"]:
    """Returns the two dimensions as they are.

    Raises:
        UserError: for too few images.
    """
    del seed
    _check(values)
    return values


def pca(values: Float[np.ndarray, "N D"], seed: int) -> Float[np.ndarray, "N 2"]:
    """Returns the two leading principal components, in the units of the values.

    Raises:
        UserError: for too few images or one dimension.
    """
    _check(values)
    return PCA(2, random_state=seed).fit_transform(values.astype(np.float64))


def tsne(values: Float[np.ndarray, "N D"], seed: int) -> Float[np.ndarray, "N 2"]:
    """Returns the t-SNE map of the 50 leading principal components; neighbours matter, distances do not.

    Perplexity 30, or a third of the other images where they are few; the same map for the same seed.

    Raises:
        UserError: as `pca`.

    Source: van der Maaten and Hinton 2008; started from PCA as in Kobak and Berens 2019.
    """
    _check(values)
    if min(values.shape) > _BEFORE:
        values = PCA(_BEFORE, svd_solver="randomized", random_state=seed).fit_transform(values)
    perplexity = min(_PERPLEXITY, (len(values) - 1) / 3)
    found = TSNE(perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return found.fit_transform(values.astype(np.float32)).astype(np.float64)


# Heading of a map of codes -> the function that draws it.
MAPS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "latent space": direct,
    "PCA of codes": pca,
    "t-SNE of codes": tsne,
}


def maps_for(latent_dim: int) -> tuple[str, ...]:
    """Returns the headings of the maps that a latent space is shown by."""
    return ("latent space",) if latent_dim == 2 else ("t-SNE of codes", "PCA of codes")


def _check(values: np.ndarray) -> None:
    if len(values) < _LEAST:
        raise UserError(
            f"a map of {len(values)} image{'s' * (len(values) != 1)} says nothing; it takes {_LEAST}, "
            "so raise explore.map_images or take a larger test set"
        )
    if values.shape[1] < 2:
        raise UserError(
            "a latent space of one dimension has no map in two; train with --config.model.latent_dim=2"
        )
