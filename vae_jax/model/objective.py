"""The loss, term by term and image by image: the negative ELBO and, if asked for, the spectrum's error.

The un-reduced terms are the product here: training averages them, validation averages them, and a
score is one of them.
"""

import dataclasses
from typing import Any

import flax.struct
import jax.numpy as jnp
import ml_collections
import optax
from jaxtyping import Array, Float

from vae_jax.model.distributions import kl_to_standard_normal
from vae_jax.model.spectrum import magnitude_error
from vae_jax.model.vae import VAE, Posterior


@flax.struct.dataclass
class Terms:
    """What the loss of each image is made of, sums over pixels, frequencies and latent dimensions.

    Attributes:
        reconstruction: -log p(x | z), nats.
        kl: KL( q(z | x) || p(z) ), nats; zero for an autoencoder.
        frequency: squared difference of the magnitude spectra of image and expected image.
    """

    reconstruction: Any  # float32 [B]
    kl: Any  # float32 [B]
    frequency: Any  # float32 [B]

    def loss(self, beta: Float[Array, ""] | float) -> Float[Array, "B"]:
        """reconstruction + beta * kl (Higgins et al. 2017); with beta 1 the negative ELBO."""
        return self.reconstruction + beta * self.kl


@dataclasses.dataclass(frozen=True)
class Distortion:
    """How far the decoder is from the image, as training weighs it: what beta * kl is added to.

    Attributes:
        pixel_weight: of -log p(x | z).
        frequency_weight: of the spectrum's error; at 0 it is not computed.
    """

    pixel_weight: float
    frequency_weight: float

    def __call__(self, terms: Terms) -> Float[Array, "B"]:
        """pixel_weight * reconstruction + frequency_weight * frequency, of each image."""
        distortion = self.pixel_weight * terms.reconstruction
        if self.frequency_weight:
            distortion += self.frequency_weight * terms.frequency
        return distortion

    @property
    def names(self) -> tuple[str, ...]:
        """The terms that are worth a record."""
        return ("reconstruction", "frequency") if self.frequency_weight else ("reconstruction",)


def terms(
    model: VAE, x: Float[Array, "B H W C"], posterior: Posterior, raw: Float[Array, "B H W P"]
) -> Terms:
    """Computes the terms of every image from one forward pass; XLA drops what nobody reads."""
    reconstruction = -jnp.sum(model.log_prob(x, raw), axis=(1, 2, 3))
    frequency = jnp.sum(magnitude_error(x, model.mean(raw)), axis=(1, 2, 3))
    if posterior.logvar is None:
        return Terms(reconstruction, jnp.zeros_like(reconstruction), frequency)
    kl = jnp.sum(kl_to_standard_normal(posterior.mu, posterior.logvar), axis=1)
    return Terms(reconstruction, kl, frequency)


def _constant(warmup_steps: float, cycle_steps: float) -> optax.Schedule:
    del warmup_steps, cycle_steps
    return lambda step: jnp.ones((), jnp.float32)


def _linear(warmup_steps: float, cycle_steps: float) -> optax.Schedule:
    """Rises from 0 to 1 over the warm-up, then stays (Bowman et al. 2016)."""
    del cycle_steps
    return lambda step: jnp.minimum(1.0, _ratio(step, warmup_steps))


def _cyclical(warmup_steps: float, cycle_steps: float) -> optax.Schedule:
    """Rises in the first part of every cycle, then stays until the next (Fu et al. 2019)."""
    return lambda step: jnp.minimum(
        1.0, _ratio(jnp.mod(jnp.asarray(step, jnp.float32), cycle_steps), warmup_steps)
    )


def _ratio(step, steps: float):
    return jnp.asarray(step, jnp.float32) / max(steps, 1e-9)


BETA_SCHEDULES = {"constant": _constant, "linear": _linear, "cyclical": _cyclical}


def make_beta_schedule(
    objective: ml_collections.ConfigDict, steps_per_epoch: int
) -> optax.Schedule:
    """Returns step -> the share of `objective.beta` that weighs the KL term, in [0, 1]."""
    return BETA_SCHEDULES[objective.beta_schedule](
        objective.beta_warmup * steps_per_epoch,
        objective.beta_cycle * steps_per_epoch,
    )
