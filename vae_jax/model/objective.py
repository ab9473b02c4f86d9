"""The negative ELBO, term by term and image by image, and the weight of its KL term.

The un-reduced terms are the product here: training averages them, validation averages them, and a
score is one of them.
"""

from typing import Any

import flax.struct
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, Float

from vae_jax.model.distributions import kl_to_standard_normal
from vae_jax.model.vae import VAE, Posterior


@flax.struct.dataclass
class Terms:
    """The negative ELBO of each image in nats, sums over pixels and latent dimensions.

    Attributes:
        reconstruction: -log p(x | z).
        kl: KL( q(z | x) || p(z) ); zero for an autoencoder.
    """

    reconstruction: Any  # float32 [B]
    kl: Any  # float32 [B]

    def loss(self, beta: Float[Array, ""] | float) -> Float[Array, "B"]:
        """reconstruction + beta * kl (Higgins et al. 2017); with beta 1 the negative ELBO."""
        return self.reconstruction + beta * self.kl


def terms(
    model: VAE, x: Float[Array, "B H W C"], posterior: Posterior, raw: Float[Array, "B H W P"]
) -> Terms:
    """Computes both terms of every image from one forward pass."""
    reconstruction = -jnp.sum(model.log_prob(x, raw), axis=(1, 2, 3))
    if posterior.logvar is None:
        return Terms(reconstruction, jnp.zeros_like(reconstruction))
    kl = jnp.sum(kl_to_standard_normal(posterior.mu, posterior.logvar), axis=1)
    return Terms(reconstruction, kl)


def _constant(beta: float, warmup_steps: float, cycle_steps: float) -> optax.Schedule:
    del warmup_steps, cycle_steps
    return lambda step: jnp.full((), beta, jnp.float32)


def _linear(beta: float, warmup_steps: float, cycle_steps: float) -> optax.Schedule:
    """Rises from 0 to beta over the warm-up, then stays (Bowman et al. 2016)."""
    del cycle_steps
    return lambda step: beta * jnp.minimum(1.0, _ratio(step, warmup_steps))


def _cyclical(beta: float, warmup_steps: float, cycle_steps: float) -> optax.Schedule:
    """Rises in the first part of every cycle, then stays until the next (Fu et al. 2019)."""
    return lambda step: (
        beta
        * jnp.minimum(
            1.0, _ratio(jnp.mod(jnp.asarray(step, jnp.float32), cycle_steps), warmup_steps)
        )
    )


def _ratio(step, steps: float):
    return jnp.asarray(step, jnp.float32) / max(steps, 1e-9)


BETA_SCHEDULES = {"constant": _constant, "linear": _linear, "cyclical": _cyclical}


def make_beta_schedule(
    objective: ml_collections.ConfigDict, steps_per_epoch: int
) -> optax.Schedule:
    """Returns step -> beta, as `objective` says."""
    return BETA_SCHEDULES[objective.beta_schedule](
        objective.beta,
        objective.beta_warmup * steps_per_epoch,
        objective.beta_cycle * steps_per_epoch,
    )
