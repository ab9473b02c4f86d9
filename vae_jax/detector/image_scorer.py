"""Scores and anomaly maps of images in memory, by a fitted detector.

N images, H W image, C channels.
"""

import dataclasses

import jax
import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.data.examples import Dataset, Examples
from vae_jax.detector.parts import DetectorParts
from vae_jax.model.branched import build_branches
from vae_jax.observation.observed import get_inputs, observe_images
from vae_jax.observation.observers import make_observers
from vae_jax.observation.standardised_observer import StandardisedObserver
from vae_jax.score_names import is_baseline, is_combination
from vae_jax.scoring.anomaly_maps import MapScale
from vae_jax.scoring.combinations import combine_scores
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.pictures import Pictures, choose_pictures
from vae_jax.scoring.role_scores import Columns, select_figures
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.scores import deciding_score
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stored_baselines import StoredBaselines

# Images of a step: as many bytes as 16 images of 224x224 pixels. A step always has this many, padded, so
# that the score of an image does not depend on the number of images beside it.
_STEP_BYTES = 16 * 224**2 * 3


class ImageScorer:
    """Computes the scores of images, and their maps, in steps of a fixed number of images.

    Attributes:
        step: number of images of a step.
        setup: model, scoring config, and a dataset without images.

    Args:
        parts: the detector.
        with_figures: whether `score` also returns the figures of the model that an evaluation reports.
    """

    def __init__(self, parts: DetectorParts, *, with_figures: bool = False):
        config, preprocessing = parts.config, parts.preprocessing
        size, channels = preprocessing.framing.image_size, preprocessing.framing.channels
        self.step = min(config.scoring.batch_size, max(1, _STEP_BYTES // (size**2 * channels)))
        self._parts = parts
        self._observers = [
            StandardisedObserver(observer, parts.standardisers)
            for observer in make_observers(config.model, parts.weights)
        ]
        model = build_branches(config, preprocessing.region)
        trained = TrainedModel(model, parts.params, self.step)
        no_images = _wrap_images(np.zeros((0, size, size, channels), np.uint8))
        dataset = Dataset(
            preprocessing.dataset, parts.fingerprint, size, channels,
            *[no_images] * 4, region=preprocessing.region, preprocessing=preprocessing,
        )  # fmt: skip
        self.setup = ScoringSetup(trained, dataset, config.scoring, config.seed)
        singles = tuple(parts.list_singles())
        figures = select_figures(model, singles) if with_figures else ()
        columns = tuple(dict.fromkeys((*singles, *figures)))
        self._score = (
            None
            if not columns
            else make_scorer(
                model, columns, config.scoring, config.seed, jax.local_devices(), self.step
            )
        )
        self._baseline_names = [name for name in parts.names if is_baseline(name)]
        self._baselines = StoredBaselines(parts.baselines, preprocessing.region, config.model.grid)
        self._pictures = self._make_pictures()

    def score(
        self, images: UInt8[np.ndarray, "N H W C"], *, with_maps: bool = False
    ) -> tuple[Columns, Float[np.ndarray, "N H W"] | None]:
        """Computes the scores that need an image; `combine` computes the others from them.

        Args:
            images: images as the model sees them, at least one.
            with_maps: whether to compute the anomaly maps as well.

        Returns:
            Name of a score -> its value for each image, which may not be finite; and the maps, in standard
            deviations above calibration normals, or None.
        """
        parts, count = self._parts, len(images)
        examples = self._observe(images)
        columns: Columns = {}
        if self._score is not None:
            inputs = get_inputs(examples)
            columns = self._score(parts.params, inputs, None, fits=parts.fitted.fits or None)
        if self._baseline_names:
            columns |= self._baselines.score_named(examples, self._baseline_names)
        columns = {name: values[:count] for name, values in columns.items()}
        return columns, self._pictures.draw(examples)[1][:count] if with_maps else None

    def combine(self, columns: Columns) -> Columns:
        """Returns every score of the detector, from the columns of `score`."""
        parts, fusion = self._parts, self._parts.config.scoring.fusion
        combined = {
            name: combine_scores(name, fusion, parts.fitted.validation, columns)
            for name in parts.names
            if is_combination(name)
        }
        return {name: (columns | combined)[name] for name in parts.names}

    @property
    def pictures(self) -> Pictures:
        """Draws what stands beside an image, of images that have not been observed."""

        def compute(examples: Examples):
            count = len(examples)
            reconstructions, maps = self._pictures.compute(self._observe(examples.images[:]))
            return None if reconstructions is None else reconstructions[:count], maps[:count]

        return dataclasses.replace(self._pictures, compute=compute)

    def _make_pictures(self) -> Pictures:
        parts, scoring_config = self._parts, self._parts.config.scoring
        score = deciding_score(scoring_config.decision, parts.names)
        map_name, compute = choose_pictures(self.setup, score)
        scale = MapScale(
            {"map": parts.map.mean}, {"map": parts.map.deviation}, scoring_config.map_smoothing
        )
        return Pictures(map_name, compute, scale, parts.map.limit, parts.map.maxima)

    def _observe(self, images: UInt8[np.ndarray, "N H W C"]) -> Examples:
        """Returns the images with their observations, padded to whole steps with copies of the last."""
        padding = -len(images) % self.step
        padded = np.concatenate([images, np.repeat(images[-1:], padding, axis=0)])
        observed = observe_images(padded, self._observers) if self._observers else None
        return dataclasses.replace(_wrap_images(padded), observed=observed)


def _wrap_images(images: UInt8[np.ndarray, "N H W C"]) -> Examples:
    """Returns examples that hold images and nothing else that is known about them."""
    count = len(images)
    return Examples(
        images=images,
        labels=np.zeros(count, np.int32),
        classes=[""] * count,
        files=[""] * count,
        groups=[""] * count,
        stored_size=np.zeros((count, 3), np.int32),
        has_mask=np.zeros(count, bool),
    )
