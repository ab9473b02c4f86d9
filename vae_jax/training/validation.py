"""Validation: means over the images, whether the state is the best so far, and whether to stop early."""

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
    """What one pass over the images of a role says.

    Attributes:
        line: the line of `metrics.jsonl`: loss, terms, image quality, learning rate and beta.
        distortion: loss without its KL; the best state is the one with the lowest.
    """

    line: dict[str, float]
    distortion: float


def summarise(
    columns: dict[str, Float[np.ndarray, "N"]], rates: dict[str, float], objective: Objective
) -> Summary:
    """Averages the columns over the images and computes the loss of the means.

    Args:
        columns: what the scorer returned: the terms of the loss and `quality_*`.
        rates: learning rate and beta of the epoch.
        objective: what training minimises.
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
        state: before the validation.
        distortion: of the validation images, from `summarise`.
        plateau: the scheduler, from `make_plateau`.
        train_config: the `train` group of the config.
    """
    # In float32 on both sides: a best value that was rounded up would be beaten by an equal one.
    best = jnp.asarray(distortion, jnp.float32)
    if train_config.plateau_patience:
        state = state.replace(plateau=update_plateau(plateau, state.plateau, best))
    if best < state.best_distortion:
        return state.replace(best_distortion=best, validations_since_best=jnp.zeros((), jnp.int32))
    return state.replace(validations_since_best=state.validations_since_best + 1)


def has_stalled(state: TrainState, train_config: ml_collections.ConfigDict) -> bool:
    """Returns whether `early_stopping_patience` validations have gone by without a better one."""
    patience = train_config.early_stopping_patience
    return patience > 0 and int(state.validations_since_best) >= patience
