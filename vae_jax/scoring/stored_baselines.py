"""Fitted baselines as arrays, and baselines from such arrays, which need no training images."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from sklearn.decomposition import PCA

from vae_jax.data.region import Region
from vae_jax.scoring.band_energy import BandEnergyDistance
from vae_jax.scoring.band_pca import BandPCA
from vae_jax.scoring.baselines import Baselines, PCAResidual
from vae_jax.scoring.feature_baselines import RULES, FeatureBaselines
from vae_jax.scoring.place_gaussian import PlaceGaussian
from vae_jax.scoring.standardised_pca import StandardisedPCA

# Attributes by which scikit-learn's PCA transforms images and transforms them back.
_PCA_ATTRIBUTES = ("mean_", "components_", "explained_variance_")


def collect_arrays(baselines: Baselines, names: Sequence[str]) -> dict[str, Any]:
    """Returns a tree of arrays with everything that some baselines need to score an image.

    Args:
        baselines: baselines of a dataset; those that are named are fitted here at the latest.
        names: names in `score_names.BASELINES`.
    """
    arrays: dict[str, Any] = {}
    if "pca" in names:
        arrays["pca"] = _describe_pca(baselines.pca.pca)
    if "nearest_neighbour" in names:
        arrays["nearest_neighbour"] = {"images": np.asarray(baselines.neighbours)}
    if "band_energy" in names:
        distance = baselines.band_energy
        arrays["band_energy"] = {"space": _describe_space(distance.space), "train": distance.train}
    if "band_pca" in names:
        arrays["band_pca"] = _describe_space(baselines.band_pca.space)
    if "padim" in _list_rules(names):
        gaussian = jax.device_get(baselines.features.get_fit("padim"))
        arrays["padim"] = {"mean": gaussian.mean, "whiten": gaussian.whiten}
    if "patchcore" in _list_rules(names):
        arrays["patchcore"] = {"memory": np.asarray(baselines.features.get_fit("patchcore"))}
    return arrays


class StoredBaselines(Baselines):
    """Baselines that were fitted before; only those that were stored can be used.

    Args:
        arrays: the result of `collect_arrays`.
        region: region of interest; None if all pixels count.
        grid: height and width of the grid of features, cells.
    """

    def __init__(self, arrays: Mapping[str, Any], region: Region | None, grid: int):
        # These names are cached properties of the base class, which would fit on training images.
        if "pca" in arrays:
            self.pca = PCAResidual(_restore_pca(arrays["pca"]))
        if "nearest_neighbour" in arrays:
            self.neighbours = arrays["nearest_neighbour"]["images"]
        if "band_energy" in arrays:
            stored = arrays["band_energy"]
            self.band_energy = BandEnergyDistance(_restore_space(stored["space"]), stored["train"])
        if "band_pca" in arrays:
            self.band_pca = BandPCA(_restore_space(arrays["band_pca"]))
        fits: dict[str, Any] = {}
        if "padim" in arrays:
            fits["padim"] = PlaceGaussian(**arrays["padim"])
        if "patchcore" in arrays:
            fits["patchcore"] = arrays["patchcore"]["memory"]
        cells = None if region is None else region.shrink(grid).mask
        self.features = FeatureBaselines.from_fits(fits, cells)


def _list_rules(names: Iterable[str]) -> set[str]:
    return {name.partition("_")[0] for name in names} & RULES.keys()


def _describe_pca(pca: PCA) -> dict[str, np.ndarray]:
    return {name: getattr(pca, name) for name in _PCA_ATTRIBUTES}


def _restore_pca(arrays: Mapping[str, np.ndarray]) -> PCA:
    pca = PCA(len(arrays["components_"]))
    for name in _PCA_ATTRIBUTES:
        setattr(pca, name, arrays[name])
    return pca


def _describe_space(space: StandardisedPCA) -> dict[str, Any]:
    return {"mean": space.mean, "deviation": space.deviation, "pca": _describe_pca(space.pca)}


def _restore_space(arrays: Mapping[str, Any]) -> StandardisedPCA:
    return StandardisedPCA(arrays["mean"], arrays["deviation"], _restore_pca(arrays["pca"]))
