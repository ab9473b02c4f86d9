"""The terms of the loss, one value per image: the negative ELBO and, optionally, an error of the spectrum.

The terms are not averaged here, because they have three uses: training averages them over a batch,
validation averages them over its images, and some scores are one term of an image.
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
    """The terms of the loss, summed over pixels, frequencies and latent dimensions.

    Each field is an array with one value per image, or one float: the mean over many images.

    Attributes:
        reconstruction: -log p(x | z), nats.
        kl: KL( q(z | x) || p(z) ), nats; zero for an autoencoder.
        frequency: squared difference between the magnitude spectra of the image and its reconstruction.
    """

    reconstruction: Any  # float32 [B], or a float
    kl: Any  # float32 [B], or a float
    frequency: Any  # float32 [B], or a float

    @property
    def negative_elbo(self) -> Float[Array, "B"]:
        """Returns -ELBO = -log p(x | z) + KL( q(z | x) || p(z) ), nats (Kingma and Welling 2014, eq. 3)."""
        return self.reconstruction + self.kl


@dataclasses.dataclass(frozen=True)
class Objective:
    """The loss of training and of validation: distortion + beta * KL (Higgins et al. 2017).

    The terms may be arrays with one value per image, or means over many images as plain numbers.

    Attributes:
        pixel_weight: weight of -log p(x | z).
        frequency_weight: weight of the spectral error; at 0 the error is not computed.
    """

    pixel_weight: float
    frequency_weight: float

    def __call__(self, terms: Terms, beta: Float[Array, ""] | float) -> Any:
        """Returns distortion + beta * KL; this is -ELBO for pixel_weight 1, frequency_weight 0, beta 1."""
        return self.distortion(terms) + beta * terms.kl

    def distortion(self, terms: Terms) -> Any:
        """Returns the loss without KL: pixel_weight * reconstruction + frequency_weight * frequency."""
        distortion = self.pixel_weight * terms.reconstruction
        if self.frequency_weight:
            distortion += self.frequency_weight * terms.frequency
        return distortion

    @property
    def term_names(self) -> tuple[str, ...]:
        """Returns the names of the terms that are part of this loss; the history records these terms."""
        optional = ("frequency",) if self.frequency_weight else ()
        return ("reconstruction", *optional, "kl")


def make_objective(objective_config: ml_collections.ConfigDict) -> Objective:
    """Returns the objective that the `objective` group of the config describes."""
    return Objective(objective_config.pixel_weight, objective_config.frequency_weight)


def magnitude_error(
    x: Float[Array, "B H W C"], x_hat: Float[Array, "B H W C"]
) -> Float[Array, "B H W C"]:
    """Returns ( |F x| - |F x_hat| )^2 of every frequency; phases are ignored.

    F is the orthonormal discrete Fourier transform of each channel (`norm="ortho"`, which divides by the
    square root of H W). By Parseval's theorem and the triangle inequality, the sum over frequencies is at
    most the sum of squared errors over pixels. The mean over frequencies does not grow with the size of the
    image.
    """
    magnitude, magnitude_hat = (
        jnp.abs(jnp.fft.fft2(image, axes=(1, 2), norm="ortho")) for image in (x, x_hat)
    )
    return jnp.square(magnitude - magnitude_hat)


def compute_terms(
    model: VAE, x: Float[Array, "B H W C"], posterior: Posterior, raw: Float[Array, "B H W P"]
) -> Terms:
    """Computes the terms of every image from one forward pass.

    Under jit, XLA removes the computation of terms that the caller does not use.

    Args:
        model: the model.
        x: images in [0, 1].
        posterior: q(z | x) of the images.
        raw: output of the decoder for one sample z of each posterior.
    """
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
    """Returns a schedule that rises from 0 to 1 during the warm-up and stays at 1 (Bowman et al. 2016)."""
    del cycle_steps
    return lambda step: jnp.minimum(1.0, _ratio(step, warmup_steps))


def _cyclical(warmup_steps: float, cycle_steps: float) -> optax.Schedule:
    """Returns a schedule that repeats the rise from 0 to 1 in every cycle (Fu et al. 2019)."""
    return lambda step: jnp.minimum(
        1.0, _ratio(jnp.mod(jnp.asarray(step, jnp.float32), cycle_steps), warmup_steps)
    )


def _ratio(step, steps: float):
    return jnp.asarray(step, jnp.float32) / max(steps, 1e-9)


BETA_SCHEDULES = {"constant": _constant, "linear": _linear, "cyclical": _cyclical}


def make_beta_schedule(
    objective_config: ml_collections.ConfigDict, steps_per_epoch: int
) -> optax.Schedule:
    """Returns step -> the factor in [0, 1] that `objective.beta` is multiplied by at this step.

    Args:
        objective_config: the `objective` group of the config.
        steps_per_epoch: number of training steps in one epoch.
    """
    return BETA_SCHEDULES[objective_config.beta_schedule](
        objective_config.beta_warmup * steps_per_epoch,
        objective_config.beta_cycle * steps_per_epoch,
    )
