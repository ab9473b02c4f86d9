"""Everything that scoring a new image needs, and nothing else.

N new images, n calibration normals, m validation normals.
"""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np
from jaxtyping import Float

import vae_jax
from vae_jax.data.preprocessing import Preprocessing
from vae_jax.observation.standardise import Standardiser
from vae_jax.observation.weights import Weights
from vae_jax.score_names import is_baseline, is_single, list_members
from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.pictures import Pictures
from vae_jax.scoring.role_scores import FittedScores, RoleScores
from vae_jax.scoring.setup import ScoringSetup
from vae_jax.scoring.stored_baselines import collect_arrays

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class MapParts:
    """The anomaly map that is shown for an image; the fields are those of `Pictures` and `MapScale`."""

    mean: Float[np.ndarray, "H W"]
    deviation: Float[np.ndarray, "H W"]
    maxima: Float[np.ndarray, "n"]
    limit: float


@dataclasses.dataclass(frozen=True)
class DetectorParts:
    """A fitted detector as plain data: it needs neither the training images nor the prepared data.

    Attributes:
        version: version of this package that made it.
        fingerprint: fingerprint of the dataset that it was fitted on.
        config: config of the run, with the number of posterior samples that the evaluation chose.
        names: scores that it computes.
        preprocessing: how a stored image becomes what the model sees.
        params: parameters of the model.
        weights: weights of the feature network; None if the model does not observe features.
        standardisers: name of an observation -> how it is standardised.
        fitted: what the scores of the model were fitted on.
        baselines: arrays of the baselines among the scores, from `stored_baselines.collect_arrays`.
        calibration: name of a score -> its values for the calibration normals.
        map: scale of the anomaly map.
        digest: SHA-256 of its stored arrays; "" before it is stored.
    """

    version: str
    fingerprint: str
    config: ml_collections.ConfigDict
    names: tuple[str, ...]
    preprocessing: Preprocessing
    params: dict
    weights: Weights | None
    standardisers: dict[str, Standardiser]
    fitted: FittedScores
    baselines: dict[str, Any]
    calibration: dict[str, Float[np.ndarray, "n"]]
    map: MapParts
    digest: str = ""

    def list_members(self, names: Sequence[str]) -> list[str]:
        """Returns the scores that the combinations among `names` are computed from, each of them once."""
        members = list_members(names, self.config.scoring.fusion)
        return [name for name in members if name in self.fitted.validation]

    def list_singles(self) -> list[str]:
        """Returns the scores that the model computes: those that are named, and members of combinations."""
        needed = dict.fromkeys((*self.names, *self.list_members(self.names)))
        return [name for name in needed if is_single(name)]


def collect_parts(
    config: ml_collections.ConfigDict,
    setup: ScoringSetup,
    names: Sequence[str],
    role_scores: RoleScores,
    baselines: Baselines,
    pictures: Pictures,
) -> DetectorParts | None:
    """Returns the detector of an evaluated run.

    Returns None, and says why in the log, if scores depend on the class of an image, which is unknown for
    new images.

    Args:
        config: config of the run.
        setup: model, data and scoring config.
        names: scores of the run.
        role_scores: their values, and what they were fitted on.
        baselines: baselines of the dataset.
        pictures: the anomaly map of the run, with its scale.
    """
    if setup.trained.model.num_classes and setup.scoring_config.condition == "given":
        _log.warning(
            "no detector for new images is written, because scoring.condition is given, and the classes of "
            "new images are unknown; evaluate with --config.scoring.condition=marginal to get one"
        )
        return None
    config = ml_collections.ConfigDict(config)
    config.scoring = setup.scoring_config
    observers = setup.dataset.observers
    weights = [observer.observer.weights for observer in observers if observer.observer.weights]
    return DetectorParts(
        version=vae_jax.__version__,
        fingerprint=setup.dataset.fingerprint,
        config=config,
        names=tuple(names),
        preprocessing=setup.dataset.preprocessing,
        params=setup.trained.params,
        weights=weights[0] if weights else None,
        standardisers={
            name: standardiser
            for observer in observers
            for name, standardiser in observer.standardisers.items()
        },
        fitted=role_scores.fitted,
        baselines=collect_arrays(baselines, [name for name in names if is_baseline(name)]),
        calibration={name: role_scores.calibration[name] for name in names},
        map=MapParts(
            pictures.scale.mean["map"],
            pictures.scale.deviation["map"],
            pictures.maxima,
            pictures.limit,
        ),
    )
