"""Where an image is abnormal: a map a score, on a scale that normal images fix, held against masks.

A pixel's value is how many standard deviations its error lies above what calibration normals have at that
place, so that an edge which is always hard to copy is not red on every image, and one colour scale serves
all images.

N images, n calibration normals, H W image.
"""

from collections.abc import Callable, Sequence

import jax
import ml_collections
import numpy as np
from jaxtyping import Float, UInt8
from scipy import ndimage

from vae_jax.data.batches import map_batches, to_unit
from vae_jax.data.examples import Examples
from vae_jax.data.image_store import Images
from vae_jax.metrics.localisation import Localisation
from vae_jax.model.vae import VAE
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring import baselines
from vae_jax.scoring.class_marginal import bind_most_likely_class
from vae_jax.scoring.gradient import gradient_maps
from vae_jax.scoring.pixel_errors import pixel_maps
from vae_jax.scoring.scorer import build_view

# Of the mean deviation over pixels: less than this is a chance of few calibration images.
_LEAST_DEVIATION = 0.1

Mapper = Callable[[UInt8[np.ndarray, "N H W C"]], dict[str, Float[np.ndarray, "N H W"]]]


def localise(
    model: VAE,
    params: dict,
    names: Sequence[str],
    train: Examples,
    calibration: Examples,
    test: Examples,
    scoring_config: ml_collections.ConfigDict,
    seed: int,
) -> dict[str, dict[str, float]]:
    """Measures the maps of the selected scores, and that of PCA, against masks, in constant memory.

    Args:
        model: that was trained.
        params: its parameters.
        names: of the selected scores; those without a map are passed over.
        train: normals that the PCA residual is fitted on.
        calibration: normals that fix each map's scale.
        test: its images with a mask are looked at; a normal one counts as an empty mask.
        scoring_config: the `scoring` group of the config.
        seed: of the noise, and of the draw behind PCA.

    Returns:
        `{map: {pixel_auroc, pixel_ap, aupro}}`; empty without masks.
    """
    marked = np.flatnonzero(test.has_mask & (test.labels == 1))
    if test.masks is None or not any(
        test.masks[chunk].any() for chunk in _chunks(marked, scoring_config.batch_size)
    ):
        return {}
    mappers = [
        model_maps(model, params, names, scoring_config, seed),
        pca_map(train, scoring_config.pca_components, seed),
    ]
    rows = np.flatnonzero(test.has_mask)
    region = None if model.region is None else model.region.mask
    found: dict[str, dict[str, float]] = {}
    with open_progress_bar(len(rows) * len(mappers), "localising", unit="image") as bar:
        for mapper in mappers:
            scale = Scale.of(mapper, calibration.images, scoring_config)
            measured: dict[str, Localisation] = {}
            for chunk in _chunks(rows, scoring_config.batch_size):
                maps = scale.apply(mapper(test.images[chunk]))
                for name, values in maps.items():
                    measured.setdefault(name, Localisation()).update(
                        values, test.masks[chunk], region
                    )
                bar.update(len(chunk))
            found |= {name: one.result() for name, one in measured.items()}
    return found


class Scale:
    """Mean and deviation over calibration normals of each pixel of each map."""

    def __init__(self, mean: dict, deviation: dict, smoothing: float):
        self._mean, self._deviation, self._smoothing = mean, deviation, smoothing

    @classmethod
    def of(
        cls,
        mapper: Mapper,
        images: UInt8[Images, "N H W C"],
        scoring_config: ml_collections.ConfigDict,
    ) -> "Scale":
        """Measures the maps of calibration normals, smoothed as all maps are."""
        total, squares = {}, {}
        for chunk in _chunks(np.arange(len(images)), scoring_config.batch_size):
            for name, values in mapper(images[chunk]).items():
                values = _smooth(values, scoring_config.map_smoothing).astype(np.float64)
                total[name] = total.get(name, 0) + values.sum(axis=0)
                squares[name] = squares.get(name, 0) + np.square(values).sum(axis=0)
        mean = {name: values / len(images) for name, values in total.items()}
        deviation = {
            name: np.sqrt(np.maximum(squares[name] / len(images) - np.square(mean[name]), 0))
            for name in mean
        }
        floor = {name: max(_LEAST_DEVIATION * d.mean(), 1e-12) for name, d in deviation.items()}
        deviation = {name: np.maximum(d, floor[name]) for name, d in deviation.items()}
        return cls(mean, deviation, scoring_config.map_smoothing)

    def apply(self, maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the maps smoothed, in standard deviations above the mean."""
        return {
            name: (_smooth(values, self._smoothing) - self._mean[name]) / self._deviation[name]
            for name, values in maps.items()
        }


def model_maps(
    model: VAE,
    params: dict,
    names: Sequence[str],
    scoring_config: ml_collections.ConfigDict,
    seed: int,
) -> Mapper:
    """Returns images -> the map of each named score that has one, by the model."""

    @jax.jit
    def one_batch(params, batch):
        bound = bind_most_likely_class(model, params, to_unit(batch.image))
        view = build_view(bound, batch, scoring_config, seed, {}, {})
        maps = pixel_maps(view)
        if any(name.endswith("_gradient") for name in names):
            maps |= gradient_maps(view)
        return {name: values for name, values in maps.items() if name in names}

    def mapper(images):
        return map_batches(
            lambda batch: one_batch(params, batch), images, scoring_config.batch_size
        )

    return mapper


def pca_map(train: Examples, num_components: int, seed: int) -> Mapper:
    """Returns images -> the residual of a principal component analysis of the training normals."""
    residual = baselines.fit_pca(train.images, num_components, seed)
    return lambda images: {"pca": residual(images)}


def _smooth(maps: Float[np.ndarray, "N H W"], sigma: float) -> Float[np.ndarray, "N H W"]:
    return ndimage.gaussian_filter(maps, (0, sigma, sigma)) if sigma else maps


def _chunks(rows: np.ndarray, size: int):
    return (rows[start : start + size] for start in range(0, len(rows), size))
