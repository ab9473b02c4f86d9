"""The training state: exactly what is saved, nothing that is a function."""

import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
import optax.contrib

from vae_jax.model.vae import VAE, init_params
from vae_jax.training import noise


@flax.struct.dataclass
class TrainState:
    """Everything that training carries from step to step.

    Attributes:
        step: number of updates made.
        params: of the model, float32.
        opt_state: of the optax chain.
        plateau: of the reduce-on-plateau rule.
        best: lowest validation reconstruction so far, nats per image.
        stale: validations since then.
    """

    step: Any  # int32 scalar
    params: Any  # dict of float32
    opt_state: Any  # optax.OptState
    plateau: Any  # optax.contrib.ReduceLROnPlateauState
    best: Any  # float32 scalar
    stale: Any  # int32 scalar


def create_state(
    model: VAE,
    optimizer: optax.GradientTransformation,
    plateau: optax.GradientTransformationExtraArgs,
    seed: int,
) -> TrainState:
    """Returns the state before the first step."""

    # It runs once: most of its time would go into optimising the drawing of numbers.
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def create(key):
        params = init_params(model, key)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=optimizer.init(params),
            plateau=plateau.init(params),
            best=jnp.full((), jnp.inf, jnp.float32),
            stale=jnp.zeros((), jnp.int32),
        )

    return create(noise.stream(seed, "init"))
