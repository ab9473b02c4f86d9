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
from vae_jax.model.vae import VAE, Posterior


@flax.struct.dataclass
class Terms:
    """What the loss of each image is made of, sums over pixels, frequencies and latent dimensions.

    Attributes:
        reconstruction: -log p(x | z), nats.
        kl: KL( q(z | x) || p(z) ), nats; zero for an autoencoder.
        frequency: squared difference of the magnitude spectra of image and expected image.
    """

    reconstruction: Any  # float32 [B]; or the mean over images, a float
    kl: Any  # as reconstruction
    frequency: Any  # as reconstruction

    @property
    def negative_elbo(self) -> Float[Array, "B"]:
        """-ELBO = -log p(x | z) + KL( q(z | x) || p(z) ), nats (Kingma and Welling 2014, equation 3)."""
        return self.reconstruction + self.kl


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss, for training and for validation: distortion + beta * KL (Higgins et al. 2017).

    The terms may be arrays of one value per image, or the means of a whole role as plain numbers.

    Attributes:
        pixel_weight: weight of -log p(x | z).
        frequency_weight: weight of the spectral error; at 0 the error is not computed.
    """

    pixel_weight: float
    frequency_weight: float

    def __call__(self, terms: Terms, beta: Float[Array, ""] | float) -> Any:
        """Returns distortion + beta * KL; with both weights at their defaults and beta 1 it is -ELBO."""
        return self.distortion(terms) + beta * terms.kl

    def distortion(self, terms: Terms) -> Any:
        """Returns pixel_weight * reconstruction + frequency_weight * frequency: the loss without the KL."""
        distortion = self.pixel_weight * terms.reconstruction
        if self.frequency_weight:
            distortion += self.frequency_weight * terms.frequency
        return distortion

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the terms that this objective weighs, and that are therefore recorded."""
        frequency = ("frequency",) if self.frequency_weight else ()
        return ("reconstruction", *frequency, "kl")


def make_objective(objective: ml_collections.ConfigDict) -> Objective:
    """Returns the objective that the `objective` group of the configuration describes."""
    return Objective(objective.pixel_weight, objective.frequency_weight)


def magnitude_error(
    x: Float[Array, "B H W C"], x_hat: Float[Array, "B H W C"]
) -> Float[Array, "B H W C"]:
    """Returns ( |F x| - |F x_hat| )^2 of every frequency; the phase does not count.

    F is the orthonormal discrete Fourier transform of each channel (`norm="ortho"`, divided by the square
    root of H W). By Parseval and the triangle inequality the sum over frequencies is at most the sum of
    squared errors over pixels, and its mean per frequency does not grow with the image.
    """
    magnitude, magnitude_hat = (
        jnp.abs(jnp.fft.fft2(image, axes=(1, 2), norm="ortho")) for image in (x, x_hat)
    )
    return jnp.square(magnitude - magnitude_hat)


def compute_terms(
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
