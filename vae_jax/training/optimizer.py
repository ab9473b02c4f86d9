"""The optimizer, its learning-rate schedules, and the plateau scheduler."""

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
    """Returns a schedule that falls along a cosine to 0 at the last step (Loshchilov and Hutter 2017)."""
    total_steps = max(total_steps, warmup_steps + 1)
    start = 0.0 if warmup_steps else peak
    return optax.warmup_cosine_decay_schedule(start, peak, warmup_steps, total_steps)


LEARNING_RATE_SCHEDULES = {"constant": _constant, "cosine": _cosine}


def make_learning_rate(
    train_config: ml_collections.ConfigDict, steps_per_epoch: int
) -> optax.Schedule:
    """Returns step -> learning rate, before the plateau scheduler scales it.

    Args:
        train_config: the `train` group of the config.
        steps_per_epoch: number of training steps in one epoch.
    """
    return LEARNING_RATE_SCHEDULES[train_config.learning_rate_schedule](
        train_config.learning_rate,
        round(train_config.warmup_epochs * steps_per_epoch),
        train_config.epochs * steps_per_epoch,
    )


def make_optimizer(
    train_config: ml_collections.ConfigDict, learning_rate: optax.Schedule
) -> optax.GradientTransformation:
    """Returns AdamW (Adam with decoupled weight decay) on gradients that are clipped by their global norm.

    Sources: Pascanu et al. 2013; Kingma and Ba 2015; Loshchilov and Hutter 2019.
    """
    return optax.chain(
        optax.clip_by_global_norm(train_config.clip_norm),
        optax.adamw(
            learning_rate, train_config.b1, train_config.b2, weight_decay=train_config.weight_decay
        ),
    )


def make_plateau(train_config: ml_collections.ConfigDict) -> optax.GradientTransformationExtraArgs:
    """Returns the plateau scheduler, which lowers the learning rate when validation stops improving.

    The scheduler is updated once per validation and not once per step, so it is not part of the optimizer;
    the training step multiplies its updates by `state.plateau.scale`.

    The relative tolerance is 0. With optax's default, an unchanged negative loss (a Gaussian one can be
    negative) would count as an improvement, and the learning rate would never be lowered. Optax then
    requires a positive absolute tolerance, so a decrease counts if it is at least a millionth of a nat.
    """
    return optax.contrib.reduce_on_plateau(
        factor=train_config.plateau_factor,
        patience=max(train_config.plateau_patience, 1),
        rtol=0.0,
        atol=1e-6,
    )


@functools.partial(jax.jit, static_argnums=0)
def update_plateau(
    plateau: optax.GradientTransformationExtraArgs,
    state: optax.contrib.ReduceLROnPlateauState,
    value: Float[Array, ""],
) -> optax.contrib.ReduceLROnPlateauState:
    """Returns the next state of the plateau scheduler.

    The function is compiled once per run. Outside a compiled program its condition would be compiled in
    every call.

    Args:
        plateau: the scheduler, from `make_plateau`.
        state: state of the scheduler before the validation.
        value: distortion of the validation images.
    """
    # Optax mixes its int32 count with floats, which strict dtype promotion (used in tests) forbids.
    with jax.numpy_dtype_promotion("standard"):
        _, state = plateau.update({}, state, value=value)
    return state
