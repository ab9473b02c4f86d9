"""The likelihoods p(x | z) and the KL term of the model, in nats.

A likelihood returns one log-probability per pixel and channel. These numbers give the training loss, a
score per image and a map per pixel.

Names and shapes: `x` image in [0, 1]; `raw` the unbounded output of the decoder; B batch, H W image,
C channels, P = C times the number of parameters per channel, Z latent dimensions.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax.model import continuous_bernoulli, discretised_logistic
from vae_jax.model.link import log_scale_between, logit

NUM_GREY_LEVELS = 256  # of a stored image
# A standard deviation below one grey level would measure only rounding, and the density of a pixel that
# never changes would grow without bound.
_MIN_SIGMA = 1 / NUM_GREY_LEVELS

# The likelihood `normal` clips log sigma to these limits, so that nothing overflows.
LOG_SIGMA_LIMITS = (-7.0, 7.0)

# A latent dimension is active if its posterior mean varies more than this over images (Burda et al. 2016).
ACTIVE_VARIANCE = 0.01
# Mean KL of a latent dimension that tells something about the image, nats.
INFORMATIVE_KL = 0.05


def kl_to_standard_normal(
    mu: Float[Array | np.ndarray, "B Z"], logvar: Float[Array | np.ndarray, "B Z"]
) -> Float[Array | np.ndarray, "B Z"]:
    """Returns KL( N(mu, exp(logvar)) || N(0, 1) ) of each latent dimension, nats.

    Source: Kingma and Welling 2014, appendix B.
    """
    xp = (
        mu.__array_namespace__()
    )  # NumPy or jax.numpy: pages and results.json use the formula on the host
    return 0.5 * (xp.square(mu) + xp.exp(logvar) - 1.0 - logvar)


def _bernoulli_log_prob(x, raw, sigma):
    """Returns x log p + (1 - x) log(1 - p) with p = sigmoid(raw), for x in [0, 1]."""
    del sigma
    return x * raw - jax.nn.softplus(raw)


def _normal_log_prob(x, mean, log_sigma):
    """Returns log N(x; mean, exp(log_sigma)^2)."""
    residual = (x - mean) * jnp.exp(-log_sigma)
    return -0.5 * jnp.square(residual) - log_sigma - 0.5 * math.log(2.0 * math.pi)


def _gaussian_log_prob(x, raw, sigma):
    """Returns log N(x; sigmoid(raw), sigma^2)."""
    return _normal_log_prob(x, jax.nn.sigmoid(raw), jnp.float32(math.log(sigma)))


def _gaussian_learned_log_prob(x, raw, sigma):
    """Returns log N(x; mean, sigma^2), where the decoder puts out mean and sigma of each pixel.

    The decoder's sigma is between one grey level and 1.
    """
    del sigma
    raw_mean, raw_scale = jnp.split(raw, 2, axis=3)
    return _normal_log_prob(x, jax.nn.sigmoid(raw_mean), log_scale_between(_MIN_SIGMA, raw_scale))


def _gaussian_optimal_log_prob(x, raw, sigma):
    """Returns log N(x; sigmoid(raw), sigma^2) with sigma^2 the mean squared error of the image.

    This sigma^2 maximises the likelihood of the image. It is at least the square of one grey level. The
    source takes the mean over the batch; here it is taken over one image, so that a score does not depend
    on the batch. Because sigma is computed from x itself, the result is a profile likelihood: its
    exponential does not integrate to 1 over x.

    Source: Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders".
    """
    del sigma
    mean = jax.nn.sigmoid(raw)
    variance = jnp.mean(jnp.square(x - mean), axis=(1, 2, 3), keepdims=True)
    log_sigma = 0.5 * jnp.log(jnp.maximum(variance, _MIN_SIGMA**2))
    return _normal_log_prob(x, mean, jnp.broadcast_to(log_sigma, x.shape))


def _laplace_log_prob(x, raw, sigma):
    """Returns log Laplace(x; sigmoid(raw), b) with b = sigma / sqrt(2).

    With this b the standard deviation is sigma, as it is for the Gaussian.
    """
    b = sigma / math.sqrt(2.0)
    return -jnp.abs(x - jax.nn.sigmoid(raw)) / b - math.log(2.0 * b)


def _unbounded_normal_log_prob(x, raw, sigma):
    """Returns log N(x; mean, sigma^2), where the decoder puts out mean and log sigma of each value."""
    del sigma
    mean, log_sigma = jnp.split(raw, 2, axis=3)
    return _normal_log_prob(x, mean, jnp.clip(log_sigma, *LOG_SIGMA_LIMITS))


def _first_half(raw):
    """Returns the means where raw holds all means, then all logarithms of sigma."""
    return jnp.split(raw, 2, axis=3)[0]


def _raw_of_smallest_sigma(x):
    """Returns the raw output with mean x and the smallest sigma of the likelihood `normal`."""
    return jnp.concatenate([x, jnp.full_like(x, LOG_SIGMA_LIMITS[0])], axis=3)


def _mean_of_two_parameters(raw):
    """Returns the expected image where raw holds all means, then all scales."""
    return jax.nn.sigmoid(jnp.split(raw, 2, axis=3)[0])


def _raw_of_smallest_scale(x):
    """Returns the raw output with mean x and the smallest possible scale."""
    return jnp.concatenate([logit(x), jnp.full_like(x, -30.0)], axis=3)


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """p(x | z) as functions of the decoder's output.

    Attributes:
        log_prob: (x [B H W C], raw [B H W P], sigma) -> log-probability of every pixel [B H W C], nats.
        mean: raw [B H W P] -> expected image x_hat [B H W C]; in [0, 1] where `is_unbounded` is False.
        likeliest_raw: x [B H W C] -> raw output [B H W P] that makes x most likely.
        is_density: True if log_prob belongs to a density, False if to probabilities of grey levels.
        parameters_per_channel: P / C; if it is 2, the decoder puts out all means, then all scales.
        is_unbounded: True if x may be any number, False if it is a pixel in [0, 1].
    """

    log_prob: Callable[[Array, Array, float], Array]
    mean: Callable[[Array], Array]
    likeliest_raw: Callable[[Array], Array]
    is_density: bool
    parameters_per_channel: int = 1
    is_unbounded: bool = False


LIKELIHOODS: dict[str, Likelihood] = {
    # A distribution of black and white pixels. For grey pixels it is only a cross-entropy: it is not
    # normalised.
    "bernoulli": Likelihood(_bernoulli_log_prob, jax.nn.sigmoid, logit, is_density=False),
    "continuous_bernoulli": Likelihood(
        continuous_bernoulli.log_prob,
        continuous_bernoulli.mean,
        continuous_bernoulli.likeliest_raw,
        is_density=True,
    ),
    "gaussian": Likelihood(_gaussian_log_prob, jax.nn.sigmoid, logit, is_density=True),
    "gaussian_learned": Likelihood(
        _gaussian_learned_log_prob,
        _mean_of_two_parameters,
        _raw_of_smallest_scale,
        is_density=True,
        parameters_per_channel=2,
    ),
    "gaussian_optimal": Likelihood(
        _gaussian_optimal_log_prob, jax.nn.sigmoid, logit, is_density=True
    ),
    "laplace": Likelihood(_laplace_log_prob, jax.nn.sigmoid, logit, is_density=True),
    # For observations other than pixels: the mean has no link function.
    "normal": Likelihood(
        _unbounded_normal_log_prob,
        _first_half,
        _raw_of_smallest_sigma,
        is_density=True,
        parameters_per_channel=2,
        is_unbounded=True,
    ),
    # The decoder puts out a scale for each pixel. Probabilities of grey levels are at most 1 for any scale,
    # so the loss stays bounded and no sigma has to be chosen.
    "discretised_logistic": Likelihood(
        discretised_logistic.log_prob,
        discretised_logistic.mean,
        _raw_of_smallest_scale,
        is_density=False,
        parameters_per_channel=2,
    ),
}
