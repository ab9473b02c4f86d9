"""Anomaly maps: how abnormal each pixel is, in units of calibration normals, measured against masks.

The value of a pixel says how many standard deviations its error is above the mean error of calibration
normals at the same place. So an edge that is always hard to reconstruct does not stand out on every image,
and one colour scale serves all images.

N images, H W image.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy import ndimage

from vae_jax.data.batches import to_unit
from vae_jax.metrics.localisation import Localisation
from vae_jax.observation.bands import compute_stored_bands
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.band_pca import enlarge_maps
from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.class_marginal import bind_most_likely_class
from vae_jax.scoring.gradient import compute_gradient_maps
from vae_jax.scoring.pixel_errors import compute_pixel_maps
from vae_jax.scoring.scorer import build_view
from vae_jax.scoring.setup import ScoringSetup

# Lower limit of the deviation of a pixel, as a share of the mean deviation over pixels. A smaller one is
# due to the small number of calibration images.
_MIN_DEVIATION = 0.1

# Name of a map -> the map of each image.
Maps = Mapping[str, Float[np.ndarray, "N H W"]]
# Computes the maps of uint8 images [N, H, W, C].
Mapper = Callable[[UInt8[np.ndarray, "N H W C"]], Maps]


def measure_localisation(
    setup: ScoringSetup, names: Sequence[str], baselines: Baselines
) -> dict[str, dict[str, float]]:
    """Measures the anomaly maps of the scores and of the baselines against masks, in constant memory.

    Only test images with a mask are used; a normal image has an empty mask.

    Args:
        setup: model, data and scoring config.
        names: names of scores; a score without a map is skipped.
        baselines: baselines of the dataset, for their maps.

    Returns:
        For each map what `Localisation.result` returns; empty if no pixel is marked as abnormal.
    """
    test, batch_size = setup.dataset.test, setup.trained.batch_size
    rows_of_anomalies = np.flatnonzero(test.has_mask & (test.labels == 1))
    if test.masks is None or not any(
        test.masks[rows].any() for rows in split_rows(rows_of_anomalies, batch_size)
    ):
        return {}
    mappers = [make_model_mapper(setup, names), make_baseline_mapper(baselines)]
    all_rows = np.flatnonzero(test.has_mask)
    region = setup.trained.model.region
    region_mask = None if region is None else region.mask
    results: dict[str, dict[str, float]] = {}
    with open_progress_bar(len(all_rows) * len(mappers), "localising", unit="image") as bar:
        for mapper in mappers:
            scale = measure_scale(mapper, setup)
            measures: dict[str, Localisation] = {}
            for rows in split_rows(all_rows, batch_size):
                maps = scale.apply(mapper(test.images[rows]))
                masks = test.masks[rows]
                for name, values in maps.items():
                    measures.setdefault(name, Localisation()).update(values, masks, region_mask)
                bar.update(len(rows))
            results |= {name: measure.result() for name, measure in measures.items()}
    return results


class MapScale:
    """Mean and standard deviation over calibration normals of each pixel of each map."""

    def __init__(self, maps_of_normals: Iterable[Maps], smoothing: float):
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
        self._smoothing = smoothing
        self._mean = {name: values / counts[name] for name, values in total.items()}
        self._deviation = {}
        for name, mean in self._mean.items():
            deviation = np.sqrt(np.maximum(squares[name] / counts[name] - np.square(mean), 0))
            self._deviation[name] = np.maximum(
                deviation, max(_MIN_DEVIATION * deviation.mean(), 1e-12)
            )

    def apply(self, maps: Maps) -> dict[str, Float[np.ndarray, "N H W"]]:
        """Returns the maps smoothed and in standard deviations above the mean."""
        return {
            name: (_smooth(values, self._smoothing) - self._mean[name]) / self._deviation[name]
            for name, values in maps.items()
        }


def measure_scale(mapper: Mapper, setup: ScoringSetup) -> MapScale:
    """Measures the scale of the maps of a mapper on the calibration normals, in constant memory."""
    images = setup.dataset.calibration.images
    chunks = split_rows(np.arange(len(images)), setup.trained.batch_size)
    return MapScale((mapper(images[rows]) for rows in chunks), setup.scoring_config.map_smoothing)


def make_model_mapper(setup: ScoringSetup, names: Sequence[str]) -> Mapper:
    """Makes a function that computes the map of each named score that has one."""
    trained, scoring_config = setup.trained, setup.scoring_config
    # The seed is an argument and not a constant of the program, so that all seeds share one program.
    traced_seed = np.uint32(setup.seed)

    @jax.jit
    def compute_maps(params, batch, seed):
        bound = bind_most_likely_class(trained.model, params, to_unit(batch.image))
        view = build_view(bound, batch, scoring_config, seed, {}, {})
        maps = compute_pixel_maps(view)
        if any(name.endswith("_gradient") for name in names):
            maps |= compute_gradient_maps(view)
        return {name: values for name, values in maps.items() if name in names}

    return lambda images: trained.map_batches(
        lambda params, batch: compute_maps(params, batch, traced_seed), images
    )


def make_baseline_mapper(baselines: Baselines) -> Mapper:
    """Makes a function that computes the maps of the baselines `pca` and `band_pca`."""

    def compute_maps(images):
        bands = baselines.band_pca.compute_maps(compute_stored_bands(images))
        return {
            "pca": baselines.pca.squared_errors(images),
            "band_pca": enlarge_maps(bands, *images.shape[1:3]),
        }

    return compute_maps


def split_rows(rows: Int[np.ndarray, "N"], size: int) -> Iterator[Int[np.ndarray, "n"]]:
    """Yields the rows in chunks of at most `size` rows."""
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _smooth(maps: Float[np.ndarray, "N H W"], sigma: float) -> Float[np.ndarray, "N H W"]:
    return ndimage.gaussian_filter(maps, (0, sigma, sigma)) if sigma else maps
