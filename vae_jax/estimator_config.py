"""The config of a detector that is fitted to arrays, from the parameters of `VAEDetector`."""

import math
from collections.abc import Mapping
from typing import Any

import ml_collections

from vae_jax.config import default, use_observations
from vae_jax.errors import UserError
from vae_jax.field_syntax import parse_names
from vae_jax.memory_check import check_memory
from vae_jax.score_names import OBSERVATIONS, is_baseline
from vae_jax.scoring.scores import deciding_score
from vae_jax.validate import resolve_names, validate_config
from vae_jax.workdir import flatten_config, override_fields

# Observation -> the longest side of the images that the model sees, unless another one is asked for.
_MAX_SIZE = {"pixels": 64, "bands": 128, "features": 224}
# Fields that do not apply to arrays, or that another parameter sets.
_FIXED_GROUPS = ("explore.", "ablate.", "report.")
_FREE_DATA_FIELDS = ("data.framing", "data.crop", "data.roi", "data.val_fraction", "data.cache")
_FIXED_FIELDS = {
    "name": "a detector that is fitted to arrays is no run",
    "seed": "set the parameter random_state",
    "scoring.decision": "set the parameter deciding_score",
    "scoring.false_alarm_rate": "set the parameter false_alarm_rate",
    "scoring.threshold_rule": "offset_ is the threshold of the rule quantile",
    "scoring.false_discovery": "predict decides about each image by itself",
    "model.observations": "set the parameter observation",
    "train.min_steps": "set the parameter steps",
    "train.epochs": "set the parameter steps",
}
_FRAMINGS = ("stretch", "pad", "crop")
_NUM_VALIDATIONS = 20


def make_config(
    parameters: Mapping[str, Any], shape: tuple[int, int, int], seed: int
) -> ml_collections.ConfigDict:
    """Returns a valid config; `plan_epochs` completes it when the number of training images is known.

    Args:
        parameters: parameters of `VAEDetector`.
        shape: height, width and channels of an image.
        seed: seed of everything that is random.

    Raises:
        UserError: if a parameter has no valid value.
    """
    if shape[2] not in (1, 3):
        raise UserError(f"the images have {shape[2]} channels; valid: 1 (grey) and 3 (RGB)")
    config = default()
    config.name, config.seed = "estimator", seed
    observations = parse_names(parameters["observation"])
    for name in observations:
        if name not in OBSERVATIONS:
            raise UserError(f"observation is {name!r}; valid: {', '.join(OBSERVATIONS)}")
    if observations != ("pixels",):
        use_observations(config, *observations)
    config.data.framing, config.data.channels = "stretch", shape[2]
    config.data.calibration_fraction = float(parameters["calibration_fraction"])
    config.data.normal_classes = config.data.anomaly_classes = ()
    config.data.test_fraction = 0.0
    config.model.latent_dim = config.model.feature_latent_dim = parameters["latent_dim"]
    config.model.band_latent_dim = parameters["latent_dim"]
    config.train.learning_rate_schedule, config.train.parallel = "cosine", "jit"
    config.train.epochs, config.train.min_steps = 1, parameters["steps"]
    config.scoring.false_alarm_rate = float(parameters["false_alarm_rate"])
    config.scoring.decision = parameters["deciding_score"] or ""
    overrides = dict(parameters["config"] or {})
    _check_overrides(config, overrides)
    try:
        override_fields(config, overrides)
    except (TypeError, ValueError) as error:
        raise UserError(f"config: {' '.join(str(error).split())}") from error
    if config.data.framing not in _FRAMINGS:
        raise UserError(
            f"data.framing is {config.data.framing!r}; valid for arrays: {', '.join(_FRAMINGS)}"
        )
    config.data.image_size = parameters["image_size"] or _choose_size(config, shape)
    resolve_names(config)
    if "scoring.names" not in overrides:
        decision = config.scoring.decision
        if not decision or is_baseline(decision):
            decision = deciding_score("", config.scoring.names)
        config.scoring.names = (decision,)
    validate_config(config)
    check_memory(config, "train")
    return config


def plan_epochs(config: ml_collections.ConfigDict, num_images: int) -> None:
    """Sets in place the epochs of so many training images, and how often the model is validated."""
    steps_per_epoch = math.ceil(num_images / config.train.batch_size)
    num_epochs = math.ceil(config.train.min_steps / steps_per_epoch)
    config.train.epochs_per_validation = max(1, num_epochs // _NUM_VALIDATIONS)
    config.train.epochs_per_checkpoint = num_epochs


def _check_overrides(config: ml_collections.ConfigDict, overrides: Mapping[str, Any]) -> None:
    fields = flatten_config(config)
    for field in overrides:
        if field in _FIXED_FIELDS:
            raise UserError(f"config: {field} cannot be set; {_FIXED_FIELDS[field]}")
        if field not in fields or field.startswith(_FIXED_GROUPS):
            raise UserError(
                f"config: {field} is no field of a detector; valid are the groups augment, model, "
                f"objective, train and scoring of vae_jax.config, and {', '.join(_FREE_DATA_FIELDS)}"
            )
        if field.startswith("data.") and field not in _FREE_DATA_FIELDS:
            raise UserError(
                f"config: {field} does not apply to arrays, or is a parameter of VAEDetector; valid: "
                f"{', '.join(_FREE_DATA_FIELDS)}"
            )


def _choose_size(config: ml_collections.ConfigDict, shape: tuple[int, int, int]) -> int:
    """Returns the side of the images that the model sees: that of the arrays, unless it is too long."""
    size = min(max(shape[:2]), max(_MAX_SIZE[name] for name in config.model.observations))
    if tuple(config.model.observations) != ("pixels",) or config.model.kind == "linear":
        return size
    factor = 2 ** len(config.model.widths)
    return -(-size // factor) * factor
