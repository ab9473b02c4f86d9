"""The checks of the fields of the model and of the scores, which depend on each other.

This module imports neither JAX nor TFDS, so that a mistake in a field is reported at once.
"""

from collections.abc import Sequence

import ml_collections

from vae_jax.errors import UserError
from vae_jax.score_names import (
    COMBINATIONS,
    OBSERVATIONS,
    is_baseline,
    is_combination,
    is_single,
    list_baselines,
    list_members,
    list_score_names,
    list_scores,
    parse_score_name,
)

MAX_INTEGER = 2**31 - 1  # the largest value of an integer field; JAX counts in 32 bits
MAX_WIDTHS = 30  # convolutions, each of which halves the image
MIN_MS_SSIM_SIZE = 176  # pixels: a window of 11 pixels fits the coarsest of five scales, 176 / 16
BAND_CELL = 8  # side of a cell of bands, pixels; it is that of observation/bands.py
NUM_BAND_CHANNELS = 6  # channels of the bands, which observation/bands.py computes
NUM_FEATURES = 472  # channels of the features, which observation/features.py computes


def check_model(config: ml_collections.ConfigDict) -> None:
    """Checks the fields of the group `model` that depend on each other or on the data.

    Raises:
        UserError: names the field, its value and the valid values.
    """
    model, observations = config.model, tuple(config.model.observations)
    if not observations or len(set(observations)) < len(observations):
        raise UserError(
            f"model.observations is {observations}; name each observation once, at least one of "
            f"{', '.join(OBSERVATIONS)}"
        )
    for name in observations:
        if name not in OBSERVATIONS:
            raise UserError(
                f"model.observations contains {name!r}; valid: {', '.join(OBSERVATIONS)}"
            )
    for field in ("widths", "feature_widths", "band_widths"):
        _check_widths(field, model[field])
    if model.kind == "linear" and model.num_classes:
        raise UserError(
            f"model.num_classes is {model.num_classes}; the model that is fitted in closed form "
            "(model.kind=linear) takes no class: set it to 0"
        )
    if "pixels" in observations and len(observations) > 1:
        raise UserError(
            f"model.observations is {', '.join(observations)}; pixels are explained alone, because only "
            "they can be decoded into an image: remove pixels, or the others"
        )
    if "pixels" in observations and model.kind != "linear":
        _check_divisible("data.image_size", config.data.image_size, "widths", model.widths)
    if observations == ("pixels",):
        return
    if model.num_classes:
        raise UserError(
            f"model.num_classes is {model.num_classes}; only a model of pixels alone can be conditional: "
            f"set it to 0, or model.observations=pixels (it is {', '.join(observations)})"
        )
    if config.objective.frequency_weight:
        raise UserError(
            f"objective.frequency_weight is {config.objective.frequency_weight}; only pixels have a "
            f"spectrum: set it to 0 (model.observations is {', '.join(observations)})"
        )
    if model.kind != "linear":
        if "bands" in observations and model.latent != "spatial":
            cells = -(-model.band_size // BAND_CELL)
            _check_divisible(
                "the number of cells (model.band_size / 8)", cells, "band_widths", model.band_widths
            )
        if "features" in observations and model.latent == "vector":
            _check_divisible("model.grid", model.grid, "feature_widths", model.feature_widths)
    if model.feature_channels > NUM_FEATURES:
        raise UserError(
            f"model.feature_channels is {model.feature_channels}; there are {NUM_FEATURES} features, so it "
            f"must be at most {NUM_FEATURES}"
        )


def select_computable(names: Sequence[str], observations: Sequence[str]) -> tuple[str, ...]:
    """Returns the scores that a model with these observations has, without those of other observations.

    If none is left, or a name is wrong, the names are returned unchanged, so that they are refused.
    """
    try:
        computable = tuple(
            name
            for name in names
            if not is_single(name) or parse_score_name(name).observation in observations
        )
    except UserError:
        return tuple(names)
    singles = [name for name in computable if not is_combination(name)]
    return computable if singles else tuple(names)


def check_scoring(config: ml_collections.ConfigDict) -> None:
    """Checks the names of scores and the fields that depend on them.

    Raises:
        UserError: names the field, its value and the valid values.
    """
    scoring, observations = config.scoring, tuple(config.model.observations)
    if not scoring.names:
        raise UserError(
            f"scoring.names is empty; name at least one of {', '.join(_list_valid(observations))}"
        )
    if not scoring.fusion:
        members = ", ".join(list_score_names(observations))
        raise UserError(f"scoring.fusion is empty; name at least one of {members}")
    for name in scoring.names:
        if is_single(name):
            _check_score("scoring.names", name, observations)
    for name in scoring.fusion:
        _check_score("scoring.fusion", name, observations)
    baselines = list_baselines(observations)
    for name in list_scores(scoring.names, scoring.decision):
        if is_baseline(name) and name not in baselines:
            field = "names" if name in scoring.names else "decision"
            raise UserError(
                f"scoring.{field} names {name}, a baseline on features, but model.observations is "
                f"{', '.join(observations)}; add features there, or use one of {', '.join(baselines)}"
            )
    if scoring.decision and scoring.decision not in (*scoring.names, *baselines):
        raise UserError(
            f"scoring.decision is {scoring.decision!r}; valid: {', '.join(scoring.names)}, and the "
            f"baselines {', '.join(baselines)}"
        )
    if config.data.channels == 1 and observations == ("pixels",):
        _refuse_cosine_of_grey((*scoring.names, *scoring.fusion))
    computed = {*scoring.names, *list_members(scoring.names, scoring.fusion)}
    _check_ms_ssim(computed, config.data)
    if scoring.false_discovery and scoring.threshold_rule != "quantile":
        raise UserError(
            "scoring.false_discovery decides by p-values and ignores scoring.threshold_rule="
            f"{scoring.threshold_rule}; set scoring.threshold_rule=quantile or "
            "scoring.false_discovery=false"
        )


def _list_valid(observations: tuple[str, ...]) -> list[str]:
    return [*list_score_names(observations), *COMBINATIONS, *list_baselines(observations)]


def _check_score(field: str, name: str, observations: tuple[str, ...]) -> None:
    if is_combination(name):
        raise UserError(
            f"{field} contains {name!r}, which combines scores itself; name single scores, at least one of "
            f"{', '.join(list_score_names(observations))}"
        )
    try:
        observation = parse_score_name(name).observation
    except UserError as error:
        raise UserError(f"{field} contains {name!r}: {error}") from None
    if observation not in observations:
        raise UserError(
            f"{field} contains {name!r}, a score of {observation}, but model.observations is "
            f"{', '.join(observations)}; add {observation} there, or use scores of this model: "
            f"{', '.join(list_score_names(observations))}"
        )


def _refuse_cosine_of_grey(names: Sequence[str]) -> None:
    for name in names:
        if name.startswith("cosine"):
            raise UserError(
                f"data.channels is 1; the score {name} compares the colours of a pixel: remove it from "
                "scoring.names and scoring.fusion, or use mse"
            )


def _check_ms_ssim(computed: set[str], data: ml_collections.ConfigDict) -> None:
    if "ms_ssim" not in computed:
        return
    if data.image_size < MIN_MS_SSIM_SIZE:
        raise UserError(
            f"data.image_size is {data.image_size}; the score ms_ssim needs at least {MIN_MS_SSIM_SIZE} "
            "pixels: remove it from scoring.names and scoring.fusion, or replace it by ssim"
        )
    if data.roi:
        raise UserError(
            f"data.roi is {data.roi!r}; the score ms_ssim compares whole images only: remove it from "
            "scoring.names and scoring.fusion, or replace it by ssim"
        )


def _check_widths(field: str, widths: object) -> None:
    if not widths or any(not isinstance(width, int) or width < 1 for width in widths):
        raise UserError(
            f"model.{field} is {tuple(widths)}; give one or more whole numbers above 0: the "
            "channels after each stride-2 convolution"
        )
    if max(widths) > MAX_INTEGER or len(widths) > MAX_WIDTHS:
        raise UserError(
            f"model.{field} has {len(widths)} widths, the largest is {max(widths)}; give at most "
            f"{MAX_WIDTHS}, each of them at most {MAX_INTEGER}"
        )


def _check_divisible(size_field: str, size: int, widths_field: str, widths: tuple) -> None:
    factor = 2 ** len(widths)
    if size % factor:
        below, above = size // factor * factor, -(-size // factor) * factor
        nearest = " or ".join(str(size) for size in (below, above) if size)
        raise UserError(
            f"{size_field} is {size}; with {len(widths)} stride-2 convolutions (model.{widths_field}) it "
            f"must be divisible by {factor}: choose {nearest}, or fewer widths"
        )
