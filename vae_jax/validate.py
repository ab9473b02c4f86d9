"""The values that each field of the configuration may hold: the valid names, and the checks.

This module imports neither JAX nor TFDS, so that a mistake in a field is reported at once.
"""

import math
from collections.abc import Sequence
from typing import Any

import ml_collections

from vae_jax.errors import UserError, suggest_name
from vae_jax.field_syntax import check_mask_rule, parse_names, split_intensity
from vae_jax.score_names import AGGREGATES
from vae_jax.validate_model import (
    MAX_INTEGER,
    check_model,
    check_scoring,
    select_computable,
)

DATASETS = ("digits", "mnist", "fashion_mnist", "kvasir", "aitex", "chest_xray", "folder")
CACHES = ("auto", "device", "host", "none")
FRAMINGS = ("crop", "stretch", "pad", "tiles", "auto")
NORMALISATIONS = ("none", "material")
BINARISATIONS = ("", "static", "dynamic")
MODELS = ("vae", "ae", "linear")
LATENTS = ("auto", "vector", "spatial")
LIKELIHOODS = (
    "bernoulli", "continuous_bernoulli", "gaussian", "gaussian_learned", "gaussian_optimal", "laplace",
    "discretised_logistic",
)  # fmt: skip
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")
BETA_SCHEDULES = ("constant", "linear", "cyclical")
LEARNING_RATE_SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16")
THRESHOLD_RULES = ("quantile", "mean_std")
CONDITIONS = ("marginal", "given")
DESIGNS = ("one_at_a_time", "full")
ON_NAN = ("stop", "rollback")
PARALLEL = ("auto", "jit", "pmap", "sharded")

# Fields of the group `scoring` that decide and do not score, so that a fitted detector can change them.
DECISION_FIELDS = (
    "decision",
    "threshold_rule",
    "false_alarm_rate",
    "false_discovery",
    "mean_std_k",
)

# Pillow refuses images with more pixels, whatever `data.max_pixels` is.
HIGHEST_MAX_PIXELS = 178_956_970

# Field -> the names it may hold.
VALID_NAMES = {
    "data.dataset": DATASETS, "data.cache": CACHES, "data.channels": (1, 3),
    "data.framing": FRAMINGS, "data.background": ("black", "white"), "data.normalise": NORMALISATIONS,
    "data.binarise": BINARISATIONS, "data.mask_like_images": ("refuse", "images"),
    "model.kind": MODELS, "model.latent": LATENTS, "model.likelihood": LIKELIHOODS,
    "model.activation": ACTIVATIONS,
    "objective.beta_schedule": BETA_SCHEDULES, "train.learning_rate_schedule": LEARNING_RATE_SCHEDULES,
    "train.precision": PRECISIONS, "train.parallel": PARALLEL,
    "train.on_nan": ON_NAN, "scoring.threshold_rule": THRESHOLD_RULES,
    "scoring.condition": CONDITIONS, "scoring.aggregate": AGGREGATES, "ablate.design": DESIGNS,
}  # fmt: skip
LISTS_OF_NAMES = (
    "data.normal_classes", "data.anomaly_classes", "model.observations", "scoring.names",
    "scoring.fusion",
)  # fmt: skip
# Field -> its smallest valid number.
MINIMUM = {
    "seed": 0, "data.image_size": 1, "data.tile_size": 0, "data.tile_stride": 0, "data.max_pixels": 1,
    "augment.rotation": 0,
    "model.kernel_size": 1, "model.hidden_dim": 0, "model.latent_dim": 1, "model.num_classes": 0,
    "model.feature_size": 32, "model.grid": 2, "model.feature_channels": 1, "model.augmented_copies": 0,
    "model.feature_latent_dim": 1, "model.band_size": 16, "model.band_latent_dim": 1,
    "objective.beta": 0, "objective.beta_warmup": 0, "objective.pixel_weight": 0,
    "objective.frequency_weight": 0, "train.epochs": 1, "train.min_steps": 0, "train.batch_size": 1,
    "train.accumulate": 1,
    "train.warmup_epochs": 0, "train.weight_decay": 0, "train.plateau_patience": 0,
    "train.early_stopping_patience": 0, "train.epochs_per_validation": 1,
    "train.epochs_per_checkpoint": 1, "train.epochs_per_frame": 0, "train.steps_per_call": 1,
    "scoring.batch_size": 1, "scoring.bootstrap_resamples": 100, "scoring.pca_components": 1,
    "scoring.samples": -1, "scoring.importance_samples": 1, "scoring.noise_std": 0,
    "scoring.map_smoothing": 0,
    "scoring.knn_k": 1, "scoring.gmm_components": 1, "scoring.regret_steps": 1,
    "scoring.restoration_steps": 1, "scoring.restoration_tv": 0, "report.cases": 1, "report.samples": 1,
    "explore.samples": 1, "explore.mixture_components": 1, "explore.steps": 2, "explore.map_images": 2,
    "explore.generated": 2, "explore.classifier_epochs": 1,
}  # fmt: skip
# Field -> its largest valid number. More would only take longer, in one call that cannot be stopped; or, in
# galleries, several GiB of memory for a page that no browser shows well.
MAXIMUM = {
    "scoring.bootstrap_resamples": 10_000, "scoring.importance_samples": 1_000_000,
    "scoring.regret_steps": 1_000_000, "scoring.restoration_steps": 1_000_000,
    "scoring.samples": 10_000, "explore.classifier_epochs": 1_000_000, "report.cases": 200,
}  # fmt: skip
POSITIVE = (
    "model.sigma", "objective.beta_cycle", "train.learning_rate", "train.clip_norm",
    "scoring.mean_std_k", "scoring.regret_rate", "scoring.restoration_rate",
)  # fmt: skip
UNIT_INTERVAL = (
    "data.crop", "data.max_saturated", "scoring.top_k", "augment.strength", "augment.horizontal_flip",
    "augment.vertical_flip", "augment.brightness", "augment.contrast", "augment.saturation",
    "augment.hue",
)  # fmt: skip
OPEN_UNIT_INTERVAL = (
    "data.val_fraction", "data.calibration_fraction", "train.b1", "train.b2", "train.plateau_factor",
    "scoring.false_alarm_rate",
)  # fmt: skip


def resolve_names(config: ml_collections.ConfigDict) -> None:
    """Turns every list of names in the config into a tuple of str, in place; see `parse_names`.

    Scores of an observation that the model lacks are left out, so that `model.observations` can be changed
    alone. Of a texture, the score that compares an image with itself decides, unless another one is named.
    """
    for field in LISTS_OF_NAMES:
        group, name = field.split(".")
        config[group][name] = parse_names(config[group][name])
    for field in ("names", "fusion"):
        config.scoring[field] = select_computable(config.scoring[field], config.model.observations)
    if config.scoring.texture and not config.scoring.decision:
        config.scoring.decision = "fusion_contrast"


def validate_config(config: ml_collections.ConfigDict) -> None:
    """Checks every value of a config whose names are resolved.

    Raises:
        UserError: names the field, its value and the valid values.
    """
    for field, names in VALID_NAMES.items():
        _check_name(field, _get_field(config, field), names)
    if config.data.anomaly_dataset:
        _check_name("data.anomaly_dataset", config.data.anomaly_dataset, DATASETS)
    _check_numbers(config)
    if config.name in ("", ".", "..") or "/" in config.name:
        raise UserError(f"name is {config.name!r}; it names the workdir: give a folder name")
    check_model(config)
    check_scoring(config)
    _check_data(config.data)
    _check_binarise(config.data.binarise, config.model)
    if config.train.batch_size % config.train.accumulate:
        raise UserError(
            f"train.batch_size is {config.train.batch_size}; it must be divisible by "
            f"train.accumulate={config.train.accumulate}"
        )
    if config.objective.pixel_weight == config.objective.frequency_weight == 0:
        raise UserError(
            "objective.pixel_weight and objective.frequency_weight are both 0, so the loss does not "
            "compare the reconstruction with the image; set one of them above 0"
        )


def _get_field(config: ml_collections.ConfigDict, field: str) -> Any:
    for part in field.split("."):
        config = config[part]
    return config


def _check_name(field: str, value: Any, valid: Sequence[Any], verb: str = "is") -> None:
    if value in valid:
        return
    names = [str(name) or '""' for name in valid]
    hint = suggest_name(str(value), names)
    message = f"{field} {verb} {value!r}; valid: {', '.join(names)}"
    raise UserError(f"{message}; {hint}" if hint else message)


def _check_numbers(config: ml_collections.ConfigDict) -> None:
    for field, minimum in MINIMUM.items():
        value = _get_field(config, field)
        if not (math.isfinite(value) and value >= minimum):
            raise UserError(f"{field} is {value}; it must be a finite number, at least {minimum}")
        maximum = MAXIMUM.get(field, MAX_INTEGER)
        if isinstance(value, int) and value > maximum:
            raise UserError(f"{field} is {value}; it must be at most {maximum}")
    for field in POSITIVE:
        value = _get_field(config, field)
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{field} is {value}; it must be a finite number above 0")
    for field in UNIT_INTERVAL:
        value = _get_field(config, field)
        if not 0 <= value <= 1:
            raise UserError(f"{field} is {value}; it must be in [0, 1]")
    for field in OPEN_UNIT_INTERVAL:
        value = _get_field(config, field)
        if not 0 < value < 1:
            raise UserError(f"{field} is {value}; it must be between 0 and 1, both excluded")


def _check_binarise(protocol: str, model: ml_collections.ConfigDict) -> None:
    if protocol and tuple(model.observations) != ("pixels",):
        raise UserError(
            f"data.binarise is {protocol}, which draws pixels, but model.observations is "
            f"{', '.join(model.observations)}; set data.binarise='' or model.observations=pixels"
        )
    if protocol == "dynamic" and model.kind == "linear":
        raise UserError(
            "data.binarise is dynamic, which draws new pixels in every training step, but model.kind is "
            "linear, which has no steps; set data.binarise=static"
        )


def _check_data(data: ml_collections.ConfigDict) -> None:
    if data.crop == 0:
        raise UserError("data.crop is 0; it must be in (0, 1], and 1 keeps the whole square")
    check_mask_rule(data.mask_values)
    if (
        data.tile_stride
        and data.framing == "crop"
        and "folder" in (data.dataset, data.anomaly_dataset)
    ):
        raise UserError(
            f"data.tile_stride is {data.tile_stride} and data.framing is crop, which judges every tile by "
            "itself, but the dataset folder labels whole images, not tiles: set data.framing=tiles"
        )
    if data.framing == "tiles" and data.roi:
        raise UserError(
            f"data.framing is tiles and data.roi is {data.roi}, but the region belongs to whole images; "
            "set data.framing=crop, stretch or pad, or leave data.roi empty"
        )
    if data.max_pixels > HIGHEST_MAX_PIXELS:
        raise UserError(
            f"data.max_pixels is {data.max_pixels}; it must be at most {HIGHEST_MAX_PIXELS}, the limit of "
            "the reader: cut larger images into parts"
        )
    split_intensity(data.intensity)
    if not 0 <= data.test_fraction < 1:
        raise UserError(f"data.test_fraction is {data.test_fraction}; it must be in [0, 1)")
    held_out = data.val_fraction + data.calibration_fraction + data.test_fraction
    if held_out >= 1:
        raise UserError(
            "data.val_fraction + data.calibration_fraction + data.test_fraction is "
            f"{held_out:g}; it must be below 1, because the model trains on the remaining images"
        )
    overlap = set(data.normal_classes) & set(data.anomaly_classes)
    if overlap and not data.anomaly_dataset:
        raise UserError(
            f"class {sorted(overlap)[0]} is in both data.normal_classes and "
            "data.anomaly_classes; remove it from one of them"
        )
