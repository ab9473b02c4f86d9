"""Validation: means over its images, the best state so far, and early stopping."""

import dataclasses
import pathlib
from collections.abc import Callable

import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Float

from vae_jax.model.branched import Model
from vae_jax.model.objective import Objective, Terms
from vae_jax.training.nonfinite import check_metrics
from vae_jax.training.optimizer import update_plateau
from vae_jax.training.recipe import Recipe
from vae_jax.training.state import TrainState

# Names of columns that are computed for images in addition to the terms of the loss.
_QUALITY_COLUMNS = ("quality_mse", "quality_psnr", "quality_ssim")
# A state may be the best once beta has reached this share of its largest value.
_MIN_BETA_SHARE = 0.999

# Name of a term or quality measure -> its value for each image.
MetricColumns = dict[str, Float[np.ndarray, "N"]]


def list_quality_columns(model: Model) -> tuple[str, ...]:
    """Returns the columns that validation computes in addition to the terms of the loss."""
    return _QUALITY_COLUMNS if "pixels" in model.branches else ()


@dataclasses.dataclass(frozen=True)
class ValidationResult:
    """Result of one validation; all fields are empty in an epoch without validation.

    Attributes:
        val_line: line of the validation images for `metrics.jsonl`; None without validation.
        train_quality: mean image quality of some training images, for comparison.
        distortion: distortion of the validation images, nats per image; None while beta still rises, and
            without validation: then the state may not be the best.
    """

    val_line: dict[str, float] | None = None
    train_quality: dict[str, float] = dataclasses.field(default_factory=dict)
    distortion: float | None = None


@dataclasses.dataclass(frozen=True)
class Validator:
    """Validates one state after another; its attributes stay the same during a run.

    Attributes:
        recipe: how the model is trained.
        train_config: the `train` group of the config.
        max_beta: largest weight of the KL term.
        score_val: parameters -> columns of the validation images.
        score_train: parameters -> columns of some training images, for comparison.
        checkpoint_folder: folder of the checkpoints, which an error names.
    """

    recipe: Recipe
    train_config: ml_collections.ConfigDict
    max_beta: float
    score_val: Callable[[dict], MetricColumns]
    score_train: Callable[[dict], MetricColumns]
    checkpoint_folder: pathlib.Path

    def is_due(self, epoch: int) -> bool:
        """Returns whether there is a validation after this number of completed epochs."""
        is_last = epoch == self.train_config.epochs
        return is_last or epoch % self.train_config.epochs_per_validation == 0

    def validate(
        self, state: TrainState, epoch: int, train_line: dict[str, float]
    ) -> tuple[TrainState, ValidationResult]:
        """Scores the images, and updates the plateau scheduler and the early-stopping counter.

        Args:
            state: state to validate.
            epoch: number of completed epochs.
            train_line: line of this epoch for `metrics.jsonl`; its `beta` and `learning_rate` are used.

        Raises:
            NonFiniteError: if the loss of the validation images is not finite.
        """
        rates = {name: train_line[name] for name in ("beta", "learning_rate")}
        val = summarise(self.score_val(state.params), rates, self.recipe.objective)
        metrics = {name: np.array([value]) for name, value in val.line.items()}
        check_metrics(metrics, int(state.step), self.checkpoint_folder, state.params)
        columns = list_quality_columns(self.recipe.model)
        train_line = self.summarise_train(state, rates) if columns else {}
        names = (column.removeprefix("quality_") for column in columns)
        quality = {name: train_line[name] for name in names}
        # While beta rises, the distortion is low because the KL hardly counts yet.
        if epoch < self.train_config.epochs and rates["beta"] < _MIN_BETA_SHARE * self.max_beta:
            return state, ValidationResult(val.line, quality)
        state = update_after_validation(
            state, val.distortion, self.recipe.plateau, self.train_config
        )
        return state, ValidationResult(val.line, quality, val.distortion)

    def summarise_train(self, state: TrainState, rates: dict[str, float]) -> dict[str, float]:
        """Returns the loss, the terms and the image quality of some training images.

        Args:
            state: state to summarise.
            rates: `learning_rate` and `beta`.
        """
        return summarise(self.score_train(state.params), rates, self.recipe.objective).line


@dataclasses.dataclass(frozen=True)
class Summary:
    """Means over the images of one role.

    Attributes:
        line: line for `metrics.jsonl`: loss, terms, image quality, learning rate and beta.
        distortion: loss without KL; the state with the lowest distortion is the best.
    """

    line: dict[str, float]
    distortion: float


def summarise(columns: MetricColumns, rates: dict[str, float], objective: Objective) -> Summary:
    """Averages each column over the images, and computes the loss from the means.

    Args:
        columns: result of the scorer: the terms of the loss and `quality_*`, one value per image.
        rates: `learning_rate` and `beta` at the end of the epoch.
        objective: the loss as a function of its terms.
    """
    means = {
        name.removeprefix("quality_"): float(values.mean()) for name, values in columns.items()
    }
    terms = Terms(means["reconstruction"], means["kl"], means.get("frequency", 0.0))
    loss = objective(terms, rates["beta"])
    return Summary({"loss": loss, **means, **rates}, objective.distortion(terms))


def update_after_validation(
    state: TrainState,
    distortion: float,
    plateau: optax.GradientTransformationExtraArgs,
    train_config: ml_collections.ConfigDict,
) -> TrainState:
    """Returns the state with plateau scheduler and early-stopping counter updated.

    Args:
        state: state before the validation.
        distortion: distortion of the validation images, from `summarise`.
        plateau: plateau scheduler, from `make_plateau`.
        train_config: the `train` group of the config.
    """
    # The new value is rounded to float32 like the best one. Otherwise a best value that was rounded up
    # would count as worse than an equal new value.
    rounded = jnp.asarray(distortion, jnp.float32)
    if train_config.plateau_patience:
        state = state.replace(plateau=update_plateau(plateau, state.plateau, rounded))
    if rounded < state.best_distortion:
        return state.replace(
            best_distortion=rounded, validations_since_best=jnp.zeros((), jnp.int32)
        )
    return state.replace(validations_since_best=state.validations_since_best + 1)


def has_stalled(state: TrainState, train_config: ml_collections.ConfigDict) -> bool:
    """Returns whether the last `early_stopping_patience` validations brought no improvement."""
    patience = train_config.early_stopping_patience
    return patience > 0 and int(state.validations_since_best) >= patience


def is_checkpoint_due(
    state: TrainState,
    epoch: int,
    result: ValidationResult,
    train_config: ml_collections.ConfigDict,
) -> bool:
    """Returns whether a checkpoint is to be saved: for a new best state, at the end, and every few epochs.

    Args:
        state: state after the validation of this epoch, if there was one.
        epoch: number of completed epochs.
        result: result of the validation; an empty one without validation.
        train_config: the `train` group of the config.
    """
    is_best = result.distortion is not None and int(state.validations_since_best) == 0
    is_last = epoch == train_config.epochs or has_stalled(state, train_config)
    return is_best or is_last or epoch % train_config.epochs_per_checkpoint == 0
