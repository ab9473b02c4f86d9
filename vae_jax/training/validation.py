"""Validation: means over its images, the best state so far, and early stopping."""

import dataclasses

import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Float

from vae_jax.model.objective import Objective, Terms
from vae_jax.training.optimizer import update_plateau
from vae_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Summary:
    """Means over the images of one role.

    Attributes:
        line: line for `metrics.jsonl`: loss, terms, image quality, learning rate and beta.
        distortion: loss without KL; the state with the lowest distortion is the best.
    """

    line: dict[str, float]
    distortion: float


def summarise(
    columns: dict[str, Float[np.ndarray, "N"]], rates: dict[str, float], objective: Objective
) -> Summary:
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
