"""What a validation tells: its means, whether the state is the best so far, and whether to go on."""

import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
from jaxtyping import Float

from vae_jax.model.objective import Distortion, Terms
from vae_jax.training.optimizer import drive_plateau
from vae_jax.training.state import TrainState


def summarise(
    columns: dict[str, Float[np.ndarray, "N"]], rates: dict[str, float], distortion: Distortion
) -> dict[str, float]:
    """Returns the line of `metrics.jsonl` that the images of a role make.

    Args:
        columns: of the scorer: the terms of the loss and `quality_*`.
        rates: learning rate and beta of the epoch.
        distortion: what the loss weighs.
    """
    means = {
        name.removeprefix("quality_"): float(values.mean()) for name, values in columns.items()
    }
    names = ("reconstruction", "kl", "frequency")
    mean = Terms(**{name: jnp.full(1, means.get(name, 0.0), jnp.float32) for name in names})
    loss = float(distortion(mean)[0]) + rates["beta"] * means["kl"]
    return {"loss": loss, **means, **rates}


def distortion_of(val_line: dict[str, float]) -> float:
    """What the best state is chosen by: the loss without its KL, whose weight may change."""
    return val_line["loss"] - val_line["beta"] * val_line["kl"]


def tell(
    state: TrainState,
    distortion: float,
    plateau: optax.GradientTransformationExtraArgs,
    settings: ml_collections.ConfigDict,
) -> TrainState:
    """Returns the state after the plateau rule and the count of early stopping have heard of a validation.

    Args:
        state: before the validation.
        distortion: that it found.
        plateau: the rule, of `make_plateau`.
        settings: the `train` group of the config.
    """
    # In float32 on both sides: a best that was rounded up would be beaten by its own equal.
    best = jnp.asarray(distortion, jnp.float32)
    if settings.plateau_patience:
        state = state.replace(plateau=drive_plateau(plateau, state.plateau, best))
    if best < state.best:
        return state.replace(best=best, stale=jnp.zeros((), jnp.int32))
    return state.replace(stale=state.stale + 1)


def has_stalled(state: TrainState, settings: ml_collections.ConfigDict) -> bool:
    """Returns whether `early_stopping_patience` validations have gone by without a better one."""
    patience = settings.early_stopping_patience
    return patience > 0 and int(state.stale) >= patience
