"""What the fields of the configuration may hold: the names to choose from, and the checks.

It imports neither JAX nor TFDS, so that a mistake in a field is answered at once.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

import ml_collections

from vae_jax.errors import UserError, suggest_name

DATASETS = ("digits", "mnist", "fashion_mnist", "kvasir", "aitex", "chest_xray", "folder")
CACHES = ("auto", "device", "host", "none")
NORMALISATIONS = ("none", "material")
MODELS = ("vae", "ae")
LIKELIHOODS = (
    "bernoulli", "continuous_bernoulli", "gaussian", "gaussian_learned", "gaussian_optimal", "laplace",
    "discretised_logistic",
)  # fmt: skip
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "tanh")
BETA_SCHEDULES = ("constant", "linear", "cyclical")
LEARNING_RATE_SCHEDULES = ("constant", "cosine")
PRECISIONS = ("float32", "bfloat16")
SCORES = (
    "mse", "l1", "bce", "ssim", "ms_ssim", "fft", "elbo", "kl", "nll", "bits_per_dim", "corrected_nll",
    "typicality", "input_complexity", "mahalanobis", "knn",
    "gmm", "latent_statistics", "likelihood_regret", "restoration", "elbo_gradient", "kl_gradient",
    "fusion",
)  # fmt: skip
AGGREGATES = ("mean", "max", "top_k")
MIN_MS_SSIM_SIZE = 176  # pixels: its window at the coarsest of five scales
THRESHOLD_RULES = ("quantile", "mean_std")
CONDITIONS = ("marginal", "given")
DESIGNS = ("one_at_a_time", "full")
PARALLEL = ("auto", "jit", "pmap", "sharded")

# Around a whole list only: a folder may be called `good (1)`, or `(old)`.
_BRACKETED = re.compile(r"\(([^()]*,[^()]*)\)|\[([^\[\]]*,[^\[\]]*)\]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def resolve_names(config: ml_collections.ConfigDict) -> None:
    """Brings lists of names as a shell gives them into shape, in place: `3`, `a,b` -> tuples of str."""
    for field in (
        "data.normal_classes", "data.anomaly_classes", "scoring.names", "scoring.fusion",
    ):  # fmt: skip
        group, name = field.split(".")
        config[group][name] = parse_names(config[group][name])


def parse_names(value: Any) -> tuple[str, ...]:
    """Brings a list of names into shape: `3`, `"a,b"`, `"(a, b)"`, `(3, "a")` become tuples of str."""
    if value is None:
        return ()
    texts = map(str, value if isinstance(value, tuple | list) else (value,))
    parts = [
        _without(_QUOTED, part) for text in texts for part in _without(_BRACKETED, text).split(",")
    ]
    return tuple(dict.fromkeys(part for part in parts if part))


def _without(wrapping: re.Pattern[str], text: str) -> str:
    found = wrapping.fullmatch(text.strip())
    return found[found.lastindex] if found else text.strip()


def validate_config(config: ml_collections.ConfigDict) -> None:
    """Checks the values of a resolved config.

    Raises:
        UserError: names the wrong value and the valid ones.
    """
    data, model, train, scoring = config.data, config.model, config.train, config.scoring
    _one_of("data.dataset", data.dataset, DATASETS)
    if data.anomaly_dataset:
        _one_of("data.anomaly_dataset", data.anomaly_dataset, DATASETS)
    _one_of("data.cache", data.cache, CACHES)
    _one_of("data.channels", data.channels, (1, 3))
    _one_of("data.normalise", data.normalise, NORMALISATIONS)
    _one_of("model.kind", model.kind, MODELS)
    _one_of("model.likelihood", model.likelihood, LIKELIHOODS)
    _one_of("model.activation", model.activation, ACTIVATIONS)
    _one_of("objective.beta_schedule", config.objective.beta_schedule, BETA_SCHEDULES)
    _one_of("train.learning_rate_schedule", train.learning_rate_schedule, LEARNING_RATE_SCHEDULES)
    _one_of("train.precision", train.precision, PRECISIONS)
    _one_of("train.parallel", train.parallel, PARALLEL)
    _one_of("scoring.threshold_rule", scoring.threshold_rule, THRESHOLD_RULES)
    _one_of("scoring.condition", scoring.condition, CONDITIONS)
    _one_of("ablate.design", config.ablate.design, DESIGNS)
    for name in scoring.names:
        _one_of("scoring.names", name, SCORES)
    if not scoring.names:
        raise UserError(f"scoring.names is empty; name at least one of {', '.join(SCORES)}")
    if scoring.decision:
        _one_of("scoring.decision", scoring.decision, tuple(scoring.names))
    _one_of("scoring.aggregate", scoring.aggregate, AGGREGATES)
    single = tuple(name for name in SCORES if name != "fusion")
    for name in scoring.fusion:
        _one_of("scoring.fusion", name, single)
    if not scoring.fusion:
        raise UserError(f"scoring.fusion is empty; name at least one of {', '.join(single)}")
    selected = (*scoring.names, *(scoring.fusion if "fusion" in scoring.names else ()))
    if "ms_ssim" in selected and data.image_size < MIN_MS_SSIM_SIZE:
        raise UserError(
            f"data.image_size is {data.image_size}; the score ms_ssim needs at least {MIN_MS_SSIM_SIZE} "
            "pixels: take it out of scoring.names and scoring.fusion, or take ssim"
        )
    if "ms_ssim" in selected and data.roi:
        raise UserError(
            "the score ms_ssim looks at whole images and cannot be held to data.roi; take it out of "
            "scoring.names and scoring.fusion, or take ssim"
        )
    if config.seed >= 2**31:
        raise UserError(f"seed is {config.seed}; it must stay below 2147483648")
    if not config.name or "/" in config.name:
        raise UserError(f"name is {config.name!r}; give a plain folder name, it names the workdir")
    for field, low in _LOWEST.items():
        value = _get(config, field)
        if not (math.isfinite(value) and value >= low):
            raise UserError(f"{field} is {value}; it must be a finite number, at least {low}")
    for field in _POSITIVE:
        value = _get(config, field)
        if not (math.isfinite(value) and value > 0):
            raise UserError(f"{field} is {value}; it must be a finite number above 0")
    for field in _UNIT_INTERVAL:
        value = _get(config, field)
        if not 0 <= value <= 1:
            raise UserError(f"{field} is {value}; it must lie in [0, 1]")
    for field in _OPEN_UNIT_INTERVAL:
        value = _get(config, field)
        if not 0 < value < 1:
            raise UserError(f"{field} is {value}; it must lie between 0 and 1, both excluded")
    if data.crop == 0:
        raise UserError("data.crop is 0; it must lie in (0, 1], 1 keeps the whole central square")
    if data.tile_stride and "folder" in (data.dataset, data.anomaly_dataset):
        raise UserError(
            f"data.tile_stride is {data.tile_stride}; of one's own images nobody knows which tiles are "
            "abnormal: take 0, and cut them before"
        )
    if scoring.false_discovery and scoring.threshold_rule != "quantile":
        raise UserError(
            f"scoring.false_discovery decides by p-values, not by scoring.threshold_rule="
            f"{scoring.threshold_rule}; take one of them"
        )
    if train.batch_size % train.accumulate:
        raise UserError(
            f"train.batch_size is {train.batch_size}, not divisible by train.accumulate={train.accumulate}"
        )
    if config.objective.pixel_weight == config.objective.frequency_weight == 0:
        raise UserError(
            "objective.pixel_weight and objective.frequency_weight are both 0, so nothing ties the "
            "reconstruction to the image; give one of them a weight"
        )
    _check_fractions(data)
    _check_model(data.image_size, model)
    overlap = set(data.normal_classes) & set(data.anomaly_classes)
    if overlap and not data.anomaly_dataset:
        raise UserError(
            f"class {sorted(overlap)[0]} is in both data.normal_classes and "
            "data.anomaly_classes; take it out of one of them"
        )


_LOWEST = {
    "seed": 0, "data.image_size": 1, "model.kernel_size": 1, "model.hidden_dim": 0,
    "model.latent_dim": 1, "model.num_classes": 0, "objective.beta": 0,
    "objective.beta_warmup": 0, "objective.pixel_weight": 0, "objective.frequency_weight": 0,
    "data.tile_stride": 0, "train.accumulate": 1,
    "train.epochs_per_frame": 0,
    "explore.samples": 1, "explore.mixture_components": 1, "explore.steps": 2, "explore.map_images": 2,
    "explore.generated": 2, "explore.classifier_epochs": 1, "train.epochs": 1,
    "train.batch_size": 1, "train.warmup_epochs": 0, "train.weight_decay": 0,
    "train.plateau_patience": 0, "train.early_stopping_patience": 0,
    "train.epochs_per_validation": 1, "train.epochs_per_checkpoint": 1, "train.steps_per_call": 1,
    "scoring.batch_size": 1, "scoring.bootstrap_resamples": 100, "scoring.pca_components": 1,
    "scoring.importance_samples": 1,
    "scoring.noise_std": 0, "scoring.map_smoothing": 0, "scoring.knn_k": 1, "scoring.gmm_components": 1,
    "scoring.regret_steps": 1, "scoring.restoration_steps": 1, "scoring.restoration_tv": 0,
    "report.cases": 1, "report.samples": 1, "augment.rotation": 0,
}  # fmt: skip
_POSITIVE = ("model.sigma", "objective.beta_cycle", "train.learning_rate", "train.clip_norm",
             "scoring.mean_std_k", "scoring.regret_rate", "scoring.restoration_rate")  # fmt: skip
_UNIT_INTERVAL = (
    "data.crop", "augment.strength", "augment.horizontal_flip", "augment.vertical_flip",
    "augment.brightness", "augment.contrast", "augment.saturation", "augment.hue",
    "data.max_saturated", "scoring.top_k",
)  # fmt: skip
_OPEN_UNIT_INTERVAL = (
    "data.val_fraction", "data.calibration_fraction", "train.b1", "train.b2",
    "train.plateau_factor", "scoring.false_alarm_rate",
)  # fmt: skip


def _get(config: ml_collections.ConfigDict, field: str):
    for part in field.split("."):
        config = config[part]
    return config


def _one_of(field: str, value, valid: Sequence) -> None:
    if value in valid:
        return
    names = [str(v) for v in valid]
    hint = suggest_name(str(value), names)
    message = f"{field} is {value!r}; valid: {', '.join(names)}"
    raise UserError(f"{message}; {hint}" if hint else message)


def _check_fractions(data: ml_collections.ConfigDict) -> None:
    if not 0 <= data.test_fraction < 1:
        raise UserError(f"data.test_fraction is {data.test_fraction}; it must lie in [0, 1)")
    held_out = data.val_fraction + data.calibration_fraction + data.test_fraction
    if held_out >= 1:
        raise UserError(
            f"data.val_fraction + data.calibration_fraction + data.test_fraction is "
            f"{held_out:g}; it must stay below 1, the rest is for training"
        )


def _check_model(image_size: int, model: ml_collections.ConfigDict) -> None:
    if not model.widths or any(not isinstance(w, int) or w < 1 for w in model.widths):
        raise UserError(
            f"model.widths is {tuple(model.widths)}; give one or more whole numbers "
            "above 0, the channels after each stride-2 convolution"
        )
    factor = 2 ** len(model.widths)
    if image_size % factor:
        below, above = image_size // factor * factor, -(-image_size // factor) * factor
        nearest = " or ".join(str(size) for size in (below, above) if size)
        raise UserError(
            f"data.image_size is {image_size}; with {len(model.widths)} stride-2 convolutions "
            f"(model.widths) it must be divisible by {factor}: take {nearest}, or fewer widths"
        )
