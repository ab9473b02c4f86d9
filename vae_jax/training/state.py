"""The training state: exactly what is saved. It contains arrays and no functions."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from vae_jax import noise
from vae_jax.model.branched import init_branches
from vae_jax.training.recipe import Recipe


@flax.struct.dataclass
class TrainState:
    """Everything that training carries from step to step.

    Attributes:
        step: number of updates made so far.
        params: parameters of the model, float32.
        opt_state: state of the optimizer.
        plateau: state of the plateau scheduler, which lowers the learning rate.
        best_distortion: lowest distortion of the validation images so far, nats per image.
        validations_since_best: number of validations since `best_distortion` was reached.
    """

    step: Any  # int32 scalar
    params: Any  # dict of float32
    opt_state: Any  # optax.OptState
    plateau: Any  # optax.contrib.ReduceLROnPlateauState
    best_distortion: Any  # float32 scalar
    validations_since_best: Any  # int32 scalar


def create_state(recipe: Recipe, seed: int) -> TrainState:
    """Returns the state before the first step.

    Args:
        recipe: how the model is trained.
        seed: seed of the run, from which the initial parameters follow.
    """
    params = init_branches(recipe.model, noise.stream_key(seed, "init"))

    # One program for all arrays of the state; it runs once, so it is not optimised.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def add_training_state(params):
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=recipe.optimizer.init(params),
            plateau=recipe.plateau.init(params),
            best_distortion=jnp.full((), jnp.inf, jnp.float32),
            validations_since_best=jnp.zeros((), jnp.int32),
        )

    return add_training_state(params)
