"""What is shown beside an image: its reconstruction, or nothing, and its anomaly map.

A model of pixels shows the reconstruction and its error. A model of other observations decodes no image, so
it shows the map `place_nll` of one branch, enlarged to the size of the image. Either map is in standard
deviations above calibration normals at the same pixel.

n images, H W image, C channels.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from vae_jax.data.examples import Examples
from vae_jax.data.row_draw import draw_rows
from vae_jax.model.branched import BranchedVAE, Model
from vae_jax.score_names import (
    ScoreName,
    is_single,
    list_members,
    parse_score_name,
)
from vae_jax.scoring.anomaly_maps import MapScale, make_model_mapper
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.setup import ScoringSetup

# The colour scale ends at this quantile of the maps of calibration normals, over all their pixels.
_LIMIT_QUANTILE = 0.995
# The map of other observations has few places, and an anomaly is many deviations above normals in most of
# those that it touches: there the scale is longer, so that the map still shows where its highest place is.
_MAP_STRETCH = 2.0
_MAX_LIMIT_IMAGES = 256  # calibration normals that fix the colour scale
_MIN_LIMIT = 1e-3  # the colour scale needs a length even if all reconstructions are perfect
# Features come first: their maps show objects and not only texture.
_ORDER = ("features", "bands", "pixels")

# Reconstructions, None for a model that has none, and the map of each image before it is scaled.
_Computed = tuple[Float[np.ndarray, "n H W C"] | None, Float[np.ndarray, "n H W"]]


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Computes what stands beside an image; all maps share one scale.

    Attributes:
        map_name: name of the anomaly map; "" for the error of the reconstruction.
        compute: images -> their reconstructions and maps.
        scale: mean and standard deviation of each pixel of the map over calibration normals.
        limit: upper end of the colours, in standard deviations.
        maxima: highest value of the map of each of these calibration normals, in standard deviations.
    """

    map_name: str
    compute: Callable[[Examples], _Computed]
    scale: MapScale
    limit: float
    maxima: Float[np.ndarray, "n"]

    def draw(self, examples: Examples) -> _Computed:
        """Returns reconstructions, and maps in standard deviations, 0 where they are below the mean."""
        if not len(examples):
            images = examples.images[:].astype(np.float32)
            return (None if self.map_name else images), images[..., 0]
        reconstructions, maps = self.compute(examples)
        scaled = self.scale.apply({"map": maps})["map"]
        return reconstructions, np.maximum(scaled, 0).astype(np.float32)


def make_pictures(setup: ScoringSetup, score: str) -> Pictures:
    """Measures the scale of the maps on calibration normals, at most 256 of them, chosen at random.

    Args:
        setup: model, data and scoring config.
        score: name of the score that decides; it chooses the map of a model of several observations.
    """
    calibration, scoring_config = setup.dataset.calibration, setup.scoring_config
    rows = draw_rows(len(calibration), _MAX_LIMIT_IMAGES, setup.seed, in_order=False)
    map_name, compute = choose_pictures(setup, score)
    _, maps = compute(calibration.take(rows))
    scale = MapScale.fit([{"map": maps}], scoring_config.map_smoothing)
    scaled = scale.apply({"map": maps})["map"]
    limit = float(np.quantile(scaled, _LIMIT_QUANTILE)) * (_MAP_STRETCH if map_name else 1)
    region = setup.dataset.region
    inside = scaled.reshape(len(scaled), -1) if region is None else scaled[:, region.mask]
    maxima = inside.max(axis=1).astype(np.float64)
    return Pictures(map_name, compute, scale, max(limit, _MIN_LIMIT), maxima)


def choose_branch(model: Model, score: str, members: Sequence[str]) -> str:
    """Chooses the branch whose map the report shows: one that the deciding score reads.

    Where it reads several, features come before bands, and bands before pixels.

    Args:
        model: the model.
        score: name of the score that decides.
        members: `scoring.fusion`.
    """
    names = [score] if is_single(score) else list_members([score], members)
    read = {parse_score_name(name).observation for name in names} & set(model.branches)
    return next(name for name in _ORDER if name in (read or model.branches))


def choose_pictures(setup: ScoringSetup, score: str) -> tuple[str, Callable[[Examples], _Computed]]:
    """Chooses what stands beside an image; returns `Pictures.map_name` and `Pictures.compute`."""
    model = setup.trained.model
    if not isinstance(model, BranchedVAE):
        return "", lambda examples: _reconstruct(setup.trained, examples)
    branch = choose_branch(model, score, setup.scoring_config.fusion)
    map_name = str(ScoreName(branch, "place_nll"))
    # Of a model of several observations, the mapper computes this map without being asked.
    mapper = make_model_mapper(setup, (), {})
    return map_name, lambda examples: (None, mapper(examples)[map_name])


def _reconstruct(trained: TrainedModel, examples: Examples) -> _Computed:
    """Returns reconstructions in [0, 1], and the root mean square error of each pixel over channels.

    The error is linear and not quadratic, so that small errors remain visible.
    """
    x = examples.images[:].astype(np.float32) / 255
    x_hat = trained.reconstruct(examples.images).x_hat
    return x_hat, np.sqrt(np.mean(np.square(x - x_hat), axis=3))
