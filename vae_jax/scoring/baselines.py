"""Baseline scores: rules without a network, fitted on the same training normals as the model.

A higher score means a more anomalous image. The direction of every score is fixed before a test image is
seen.

N test images, n training normals, H W image, C channels, P = H W C pixel values, h w cells of a grid, K
channels of an observation.
"""

import dataclasses
import functools
from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from sklearn.decomposition import PCA

from vae_jax.data.examples import Dataset, Examples
from vae_jax.data.image_store import Images
from vae_jax.data.region import Region
from vae_jax.data.row_draw import draw_rows
from vae_jax.observation.bands import compute_stored_bands
from vae_jax.score_names import BASELINES, FEATURE_BASELINES, is_baseline
from vae_jax.scoring import trivial
from vae_jax.scoring.band_energy import BandEnergyDistance, fit_band_energy
from vae_jax.scoring.band_pca import BandPCA, fit_band_pca
from vae_jax.scoring.feature_baselines import FeatureBaselines
from vae_jax.scoring.nearest import measure_nearest
from vae_jax.scoring.role_scores import RoleScores
from vae_jax.scoring.whole_images import join_columns

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
        region: region of interest, which the baselines on features respect; None if all pixels count.
    """

    def __init__(
        self, train: Examples, pca_components: int, seed: int, region: Region | None = None
    ):
        self._train, self._pca_components, self._seed = train, pca_components, seed
        self._region = region
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
    def features(self) -> FeatureBaselines | None:
        """The baselines on features, which also give maps; None if the model does not observe features."""
        o = get_features(self._train)
        if o is None:
            return None
        region = None if self._region is None else self._region.shrink(o.shape[1]).mask
        return FeatureBaselines(o, region, self._seed)

    @functools.cached_property
    def band_energy(self) -> BandEnergyDistance:
        """The `band_energy` baseline."""
        return fit_band_energy(self._train_bands, self._seed)

    @functools.cached_property
    def neighbours(self) -> UInt8[np.ndarray, "n H W C"]:
        """The training normals that `nearest_neighbour` compares an image with."""
        return self._train.images[self._neighbour_rows]

    @functools.cached_property
    def _train_bands(self) -> Float[np.ndarray, "n h w K"]:
        return compute_stored_bands(self.neighbours)

    @functools.cached_property
    def _usual(self) -> dict[str, Float[np.ndarray, "n"]]:
        train, rows = self._train, self._trivial_rows
        return trivial.compute_features(train.images[rows], train.stored_size[rows])

    def score(self, test: Examples) -> dict[str, Float[np.ndarray, "N"]]:
        """Computes every baseline score of each test image; the test images are read once.

        Returns:
            `trivial.rarity` of each of `trivial.compute_features`, under the name of the feature, and the
            scores of `score_named`.
        """
        names = [name for name in BASELINES if self.features or name not in FEATURE_BASELINES]
        return self._score(test, names, with_trivial=True)

    def score_named(
        self, examples: Examples, names: Collection[str]
    ) -> dict[str, Float[np.ndarray, "N"]]:
        """Computes some baseline scores of each image; no other baseline is fitted.

        Args:
            examples: images of any role.
            names: names in `score_names.BASELINES`.

        Returns:
            `pca`: the mean squared error of a reconstruction from the leading principal components, per
            pixel of a [0, 1] image; this is the best linear autoencoder. `nearest_neighbour`: the root mean
            squared difference to the nearest training image, in [0, 1]. `band_energy`: the distance to the
            nearest training image in energies of bands. `band_pca`: the highest value of the map of
            squared errors of bands that their leading principal components reconstruct. `padim_*` and
            `patchcore_*`: mean and highest value of the maps of `FeatureBaselines`.
        """
        return self._score(examples, names, with_trivial=False)

    def _score(
        self, examples: Examples, names: Collection[str], *, with_trivial: bool
    ) -> dict[str, Float[np.ndarray, "N"]]:
        parts, bands = [], []
        if "nearest_neighbour" in names:
            neighbours = _flatten(self.neighbours)
        for start in range(0, len(examples), _CHUNK):
            rows = slice(start, start + _CHUNK)
            images = examples.images[rows]
            part = {}
            if with_trivial:
                part |= trivial.compute_features(images, examples.stored_size[rows])
            if "pca" in names:
                errors = self.pca.squared_errors(images)
                part["pca"] = errors.mean(axis=(1, 2), dtype=np.float64)
            if "nearest_neighbour" in names:
                distance = measure_nearest(neighbours, _flatten(images))
                part["nearest_neighbour"] = distance / np.sqrt(neighbours.shape[1])
            if "band_pca" in names or "band_energy" in names:
                bands.append(compute_stored_bands(images))
            if "band_pca" in names:
                part["band_pca"] = self.band_pca.compute_scores(bands[-1])
            part |= self._score_features(examples, rows, names)
            parts.append(part)
        values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        if with_trivial:
            values |= {
                name: trivial.rarity(self._usual[name], values[name]) for name in self._usual
            }
        if "band_energy" in names:
            # All images at once, because a matrix product may round differently in chunks.
            values["band_energy"] = self.band_energy.distances(np.concatenate(bands))
        return values

    def _score_features(
        self, examples: Examples, rows: slice, names: Collection[str]
    ) -> dict[str, Float[np.ndarray, "N"]]:
        on_features = [name for name in FEATURE_BASELINES if name in names]
        if not on_features:
            return {}
        o = get_features(examples)[rows]
        return {name: self.features.compute_score(name, o) for name in on_features}


def score_baselines(
    baselines: Baselines, dataset: Dataset, names: Sequence[str], *, all_on_test: bool
) -> RoleScores:
    """Scores the calibration and the test images by the baselines that may decide.

    Args:
        baselines: baselines of the dataset.
        dataset: images of all roles.
        names: scores of a run; those that are no baselines are skipped.
        all_on_test: whether to score the test images by every other baseline, too.
    """
    named = [name for name in names if is_baseline(name)]
    if all_on_test:
        test = baselines.score(dataset.test)
    else:
        test = baselines.score_named(dataset.test, named) if named else {}
    calibration = baselines.score_named(dataset.calibration, named) if named else {}
    return RoleScores(
        join_columns(calibration, dataset.calibration), join_columns(test, dataset.test)
    )


def get_features(examples: Examples) -> Float[Images, "N h w K"] | None:
    """Returns the features of images, without those of augmented copies; None if there are none."""
    if examples.observed is None or "features" not in examples.observed.arrays:
        return None
    return examples.observed.arrays["features"][: len(examples)]


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
