"""The optax chain, its schedules, and the plateau rule that stands outside it."""

import functools

import jax
import ml_collections
import optax
import optax.contrib
from jaxtyping import Array, Float


def _constant(peak: float, warmup_steps: int, total_steps: int) -> optax.Schedule:
    del total_steps
    return optax.warmup_constant_schedule(0.0 if warmup_steps else peak, peak, warmup_steps)


def _cosine(peak: float, warmup_steps: int, total_steps: int) -> optax.Schedule:
    """Falls to 0 at the last step (Loshchilov and Hutter 2017)."""
    total_steps = max(total_steps, warmup_steps + 1)
    start = 0.0 if warmup_steps else peak
    return optax.warmup_cosine_decay_schedule(start, peak, warmup_steps, total_steps)


LEARNING_RATE_SCHEDULES = {"constant": _constant, "cosine": _cosine}


def make_learning_rate(train: ml_collections.ConfigDict, steps_per_epoch: int) -> optax.Schedule:
    """Returns step -> learning rate, before the plateau rule scales it."""
    return LEARNING_RATE_SCHEDULES[train.learning_rate_schedule](
        train.learning_rate,
        round(train.warmup_epochs * steps_per_epoch),
        train.epochs * steps_per_epoch,
    )


def make_optimizer(
    train: ml_collections.ConfigDict, learning_rate: optax.Schedule
) -> optax.GradientTransformation:
    """Returns global-norm clip, then Adam with decoupled weight decay.

    Sources: Pascanu et al. 2013; Kingma and Ba 2015; Loshchilov and Hutter 2019.
    """
    return optax.chain(
        optax.clip_by_global_norm(train.clip_norm),
        optax.adamw(learning_rate, train.b1, train.b2, weight_decay=train.weight_decay),
    )


def make_plateau(train: ml_collections.ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Returns the rule that lowers the learning rate when validation stops improving.

    It is driven once a validation, not once a step, so it stands outside the chain; the step multiplies
    its updates by the state's `scale`. The relative tolerance is 0 because with optax's default the
    rule never fires on a negative loss, such as any Gaussian one; optax wants one above 0, so any
    improvement of a millionth of a nat counts.
    """
    return optax.contrib.reduce_on_plateau(
        factor=train.plateau_factor, patience=max(train.plateau_patience, 1), rtol=0.0, atol=1e-6
    )


@functools.partial(jax.jit, static_argnums=0)
def update_plateau(
    plateau: optax.GradientTransformationExtraArgs,
    state: optax.contrib.ReduceLROnPlateauState,
    value: Float[Array, ""],
) -> optax.contrib.ReduceLROnPlateauState:
    """Tells the rule one validation value; returns its next state.

    Compiled once a run: outside a program its condition would be compiled at every call.
    """
    # Optax mixes its int32 count with floats, which strict promotion (in tests) refuses.
    with jax.numpy_dtype_promotion("standard"):
        _, state = plateau.update({}, state, value=value)
    return state
