"""Anomaly maps: how abnormal each pixel is, in units of calibration normals, measured against masks.

The value of a pixel says how many standard deviations its error is above the mean error of calibration
normals at the same place. So an edge that is always hard to reconstruct does not stand out on every image,
and one colour scale serves all images.

N images, H W image.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from vae_jax.data.batches import to_unit
from vae_jax.data.examples import Examples
from vae_jax.metrics.localisation import Localisation
from vae_jax.model.branched import BranchedVAE, Model
from vae_jax.observation.bands import compute_stored_bands
from vae_jax.observation.observed import get_inputs
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.score_names import (
    ScoreName,
    is_single,
    list_members,
    parse_score_name,
)
from vae_jax.scoring.band_pca import enlarge_maps
from vae_jax.scoring.baselines import Baselines, get_features
from vae_jax.scoring.class_marginal import bind_most_likely_class
from vae_jax.scoring.error_maps import compute_map
from vae_jax.scoring.feature_baselines import RULES
from vae_jax.scoring.gradient import compute_gradient_maps
from vae_jax.scoring.place_maps import upsample_maps
from vae_jax.scoring.scorer import build_view, build_views
from vae_jax.scoring.setup import ScoringSetup

# Lower limit of the deviation of a pixel, as a share of the mean deviation over pixels. A smaller one is
# due to the small number of calibration images.
_MIN_DEVIATION = 0.1

# Name of a map -> the map of each image.
Maps = Mapping[str, Float[np.ndarray, "N H W"]]
# Computes the maps of some images.
Mapper = Callable[[Examples], Maps]


def measure_localisation(
    setup: ScoringSetup, names: Sequence[str], baselines: Baselines, fits: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Measures the anomaly maps of the scores and of the baselines against masks; see `measure_maps`.

    Args:
        setup: model, data and scoring config.
        names: names of scores; a score without a map is skipped.
        baselines: baselines of the dataset, for their maps.
        fits: fits of the scores on training normals.
    """
    return measure_maps(setup, make_scaled_mappers(setup, names, baselines, fits))


def measure_maps(
    setup: ScoringSetup, scaled_mappers: Sequence[Mapper]
) -> dict[str, dict[str, float]]:
    """Measures anomaly maps against masks, in constant memory.

    Only test images with a mask are used; a normal image has an empty mask.

    Args:
        setup: model, data and scoring config.
        scaled_mappers: compute the maps, in standard deviations above calibration normals.

    Returns:
        For each map what `Localisation.result` returns, with its curves; empty if no pixel is marked as
        abnormal.
    """
    test, batch_size = setup.dataset.test, setup.trained.batch_size
    rows_of_anomalies = np.flatnonzero(test.has_mask & (test.labels == 1))
    if test.masks is None or not any(
        test.masks[rows].any() for rows in split_rows(rows_of_anomalies, batch_size)
    ):
        return {}
    all_rows = np.flatnonzero(test.has_mask)
    region = setup.dataset.region
    region_mask = None if region is None else region.mask
    results: dict[str, dict[str, float]] = {}
    num_maps = len(all_rows) * len(scaled_mappers)
    with open_progress_bar(num_maps, "localising", unit="image") as bar:
        for compute_maps in scaled_mappers:
            measures: dict[str, Localisation] = {}
            for rows in split_rows(all_rows, batch_size):
                maps = compute_maps(test.take(rows))
                masks = test.masks[rows]
                groups = [test.groups[row] for row in rows]
                for name, values in maps.items():
                    measure = measures.setdefault(
                        name, Localisation(setup.seed, setup.scoring_config.bootstrap_resamples)
                    )
                    measure.update(values, masks, region_mask, groups)
                bar.update(len(rows))
            results |= {
                name: measure.result(with_curves=True) for name, measure in measures.items()
            }
    return results


@dataclasses.dataclass(frozen=True)
class MapScale:
    """Mean and standard deviation over calibration normals of each pixel of each map.

    Attributes:
        mean: name of a map -> mean of each pixel.
        deviation: name of a map -> standard deviation of each pixel, at least a tenth of their mean.
        smoothing: standard deviation of the Gaussian that smooths every map, pixels; 0 for none.
    """

    mean: dict[str, Float[np.ndarray, "H W"]]
    deviation: dict[str, Float[np.ndarray, "H W"]]
    smoothing: float

    @classmethod
    def fit(
        cls,
        maps_of_normals: Iterable[Mapping[str, Float[np.ndarray, "_ H W"]]],
        smoothing: float,
    ) -> "MapScale":
        """Measures the scale.

        Args:
            maps_of_normals: maps of calibration normals, in chunks of at least one image.
            smoothing: standard deviation of the Gaussian that smooths every map, pixels; 0 for none.
        """
        counts, total, squares = {}, {}, {}
        for maps in maps_of_normals:
            for name, values in maps.items():
                values = _smooth(values, smoothing).astype(np.float64)
                counts[name] = counts.get(name, 0) + len(values)
                total[name] = total.get(name, 0) + values.sum(axis=0)
                squares[name] = squares.get(name, 0) + np.square(values).sum(axis=0)
        means = {name: values / counts[name] for name, values in total.items()}
        deviations = {}
        for name, mean in means.items():
            deviation = np.sqrt(np.maximum(squares[name] / counts[name] - np.square(mean), 0))
            deviations[name] = np.maximum(deviation, max(_MIN_DEVIATION * deviation.mean(), 1e-12))
        return cls(means, deviations, smoothing)

    def apply(self, maps: Maps) -> dict[str, Float[np.ndarray, "N H W"]]:
        """Returns the maps smoothed and in standard deviations above the mean."""
        return {
            name: (_smooth(values, self.smoothing) - self.mean[name]) / self.deviation[name]
            for name, values in maps.items()
        }


def measure_scale(mapper: Mapper, setup: ScoringSetup) -> MapScale:
    """Measures the scale of the maps of a mapper on the calibration normals, in constant memory."""
    normals = setup.dataset.calibration
    chunks = split_rows(np.arange(len(normals)), setup.trained.batch_size)
    return MapScale.fit(
        (mapper(normals.take(rows)) for rows in chunks), setup.scoring_config.map_smoothing
    )


def make_scaled_mappers(
    setup: ScoringSetup, names: Sequence[str], baselines: Baselines, fits: dict[str, Any]
) -> list[Mapper]:
    """Makes functions that compute the maps of scores and baselines, in units of calibration normals.

    Each function measures its scale when it is first called.

    Args:
        setup: model, data and scoring config.
        names: names of scores; a score without a map is skipped.
        baselines: baselines of the dataset, for their maps.
        fits: fits of the scores on training normals.
    """
    mappers = [make_model_mapper(setup, names, fits), make_baseline_mapper(baselines)]
    return [_scale_maps(mapper, setup) for mapper in mappers]


def _scale_maps(mapper: Mapper, setup: ScoringSetup) -> Mapper:
    get_scale = functools.cache(lambda: measure_scale(mapper, setup))
    return lambda examples: get_scale().apply(mapper(examples))


def make_model_mapper(setup: ScoringSetup, names: Sequence[str], fits: dict[str, Any]) -> Mapper:
    """Makes a function that computes the map of each named score that has one, at the size of the image.

    Of a model of several observations it also computes the map `place_nll` of every branch.

    Args:
        setup: model, data and scoring config.
        names: names of scores.
        fits: fits of the scores on training normals.
    """
    trained, scoring_config = setup.trained, setup.scoring_config
    # The seed is an argument and not a constant of the program, so that all seeds share one program.
    traced_seed = np.uint32(setup.seed)
    map_names = choose_maps(trained.model, names, scoring_config.fusion)
    size = setup.dataset.image_size

    @jax.jit
    def compute_maps(params, batch, seed, fits):
        if isinstance(trained.model, BranchedVAE):
            views = build_views(trained.model, params, batch, scoring_config, seed, fits)
        else:
            bound = bind_most_likely_class(trained.model, params, to_unit(batch.image))
            views = {"pixels": build_view(bound, batch, scoring_config, seed, fits, {})}
        maps = {
            str(name): compute_map(views[name.observation], name.measure)
            for name in map_names
            if name.has_map
        }
        maps = {name: upsample_maps(values, size) for name, values in maps.items()}
        if any(name.measure.endswith("_gradient") for name in map_names):
            gradients = compute_gradient_maps(views["pixels"])
            maps |= {name: values for name, values in gradients.items() if name in names}
        return maps

    return lambda examples: trained.map_batches(
        lambda params, batch: compute_maps(params, batch, traced_seed, fits), get_inputs(examples)
    )


def make_baseline_mapper(baselines: Baselines) -> Mapper:
    """Makes a function that computes the map of each baseline that has one, at the size of the image."""

    def compute_maps(examples):
        images = examples.images[:]
        bands = baselines.band_pca.compute_maps(compute_stored_bands(images))
        maps = {
            "pca": baselines.pca.squared_errors(images),
            "band_pca": enlarge_maps(bands, *images.shape[1:3]),
        }
        if baselines.features is not None:
            o = get_features(examples)
            for rule in RULES:
                places = jnp.asarray(baselines.features.compute_maps(rule, o))
                maps[rule] = np.asarray(upsample_maps(places, images.shape[1]))
        return maps

    return compute_maps


def choose_maps(model: Model, names: Sequence[str], members: Sequence[str]) -> list[ScoreName]:
    """Chooses the maps to compute: those of the named scores and of the members of combinations.

    Args:
        model: the model.
        names: names of scores.
        members: `scoring.fusion`.
    """
    singles = [name for name in names if is_single(name)]
    if isinstance(model, BranchedVAE):
        singles = [
            *(f"{branch}_place_nll" for branch in model.branches),
            *singles,
            *list_members(names, members),
        ]
    parsed = [dataclasses.replace(parse_score_name(name), aggregate="") for name in singles]
    return [
        name for name in dict.fromkeys(parsed) if name.has_map or name.measure.endswith("_gradient")
    ]


def split_rows(rows: Int[np.ndarray, "N"], size: int) -> Iterator[Int[np.ndarray, "n"]]:
    """Yields the rows in chunks of at most `size` rows."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _smooth(maps: Float[np.ndarray, "N H W"], sigma: float) -> Float[np.ndarray, "N H W"]:
    return ndimage.gaussian_filter(maps, (0, sigma, sigma)) if sigma else maps
