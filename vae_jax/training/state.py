"""The training state: exactly what is saved, nothing that is a function."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from vae_jax.model import noise
from vae_jax.model.vae import init_params
from vae_jax.training.recipe import Recipe


@flax.struct.dataclass
class TrainState:
    """Everything that training carries from step to step.

    Attributes:
        step: number of updates made.
        params: of the model, float32.
        opt_state: of the optax chain.
        plateau: of the reduce-on-plateau rule.
        best_distortion: lowest distortion of the validation images so far, nats per image.
        validations_since_best: number of validations since that one.
    """

    step: Any  # int32 scalar
    params: Any  # dict of float32
    opt_state: Any  # optax.OptState
    plateau: Any  # optax.contrib.ReduceLROnPlateauState
    best_distortion: Any  # float32 scalar
    validations_since_best: Any  # int32 scalar


def create_state(recipe: Recipe, seed: int) -> TrainState:
    """Returns the state before the first step."""

    # It runs once: most of its time would go into optimising the drawing of random numbers.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def create(key):
        params = init_params(recipe.model, key)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=recipe.optimizer.init(params),
            plateau=recipe.plateau.init(params),
            best_distortion=jnp.full((), jnp.inf, jnp.float32),
            validations_since_best=jnp.zeros((), jnp.int32),
        )

    return create(noise.stream_key(seed, "init"))
