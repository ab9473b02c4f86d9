"""Densities of the model, in nats, each a few lines of pure `jnp`.

`x` image in [0, 1]; `raw` what the decoder puts out for it, before any squashing; B batch, H W image,
C channels, P = C times the parameters of a channel, Z latent. A likelihood returns the log-probability
of every pixel, so that the same numbers give the training loss, a score per image and a map per pixel.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model import continuous_bernoulli, discretised_logistic
from vae_jax.model.link import log_scale_between, logit

# Grey levels of a stored image. A standard deviation below one of them measures only the rounding: the
# density of a pixel that never changes would grow without end.
NUM_GREY_LEVELS = 256
_LEAST_SIGMA = 1 / NUM_GREY_LEVELS


def kl_to_standard_normal(
    mu: Float[Array, "B Z"], logvar: Float[Array, "B Z"]
) -> Float[Array, "B Z"]:
    """KL( N(mu, exp(logvar)) || N(0, 1) ) of each latent dimension, nats.

    Source: Kingma and Welling 2014, appendix B.
    """
    return 0.5 * (jnp.square(mu) + jnp.exp(logvar) - 1.0 - logvar)


def _bernoulli_log_prob(x, raw, sigma):
    """x log p + (1 - x) log(1 - p) with p = sigmoid(raw); x may lie between 0 and 1."""
    del sigma
    return x * raw - jax.nn.softplus(raw)


def _normal(x, mean, log_sigma):
    residual = (x - mean) * jnp.exp(-log_sigma)
    return -0.5 * jnp.square(residual) - log_sigma - 0.5 * math.log(2.0 * math.pi)


def _gaussian_log_prob(x, raw, sigma):
    """log N(x; sigmoid(raw), sigma^2)."""
    return _normal(x, jax.nn.sigmoid(raw), jnp.float32(math.log(sigma)))


def _gaussian_learned_log_prob(x, raw, sigma):
    """log N(x; mean, sigma^2), both of each pixel; sigma between one grey level and 1."""
    del sigma
    mean, scale = jnp.split(raw, 2, axis=3)
    return _normal(x, jax.nn.sigmoid(mean), log_scale_between(_LEAST_SIGMA, scale))


def _gaussian_optimal_log_prob(x, raw, sigma):
    """log N(x; sigmoid(raw), sigma^2) with sigma^2 the image's own mean squared error, the best there is.

    At least one grey level. Of each image, not of the batch as in the source, so that a score does
    not depend on its batch. As x sets its own sigma this is a profile likelihood, no density of x.
    Source: Rybkin et al. 2021, "Simple and effective VAE training with calibrated decoders".
    """
    del sigma
    mean = jax.nn.sigmoid(raw)
    variance = jnp.mean(jnp.square(x - mean), axis=(1, 2, 3), keepdims=True)
    log_sigma = 0.5 * jnp.log(jnp.maximum(variance, _LEAST_SIGMA**2))
    return _normal(x, mean, jnp.broadcast_to(log_sigma, x.shape))


def _laplace_log_prob(x, raw, sigma):
    """log Laplace(x; sigmoid(raw), b) with b = sigma / sqrt(2), so that sigma is its deviation too."""
    b = sigma / math.sqrt(2.0)
    return -jnp.abs(x - jax.nn.sigmoid(raw)) / b - math.log(2.0 * b)


def _first_sigmoid(raw):
    return jax.nn.sigmoid(jnp.split(raw, 2, axis=3)[0])


def _least_scale(x):
    """Raw output with the mean on x and the scale as small as it gets."""
    return jnp.concatenate([logit(x), jnp.full_like(x, -30.0)], axis=3)


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """p(x | z) as functions of the decoder's output.

    Attributes:
        log_prob: (x [B H W C], raw [B H W P], sigma) -> log-probability of every pixel [B H W C], nats.
        mean: raw [B H W P] -> x_hat [B H W C] in [0, 1], the expected image.
        likeliest_raw: x [B H W C] -> raw [B H W P], the output that makes x most likely.
        is_density: whether log_prob is of a density on [0, 1], and not of grey levels themselves.
        parameters_per_channel: P / C; with two the decoder puts out all means, then all scales.
    """

    log_prob: Callable[[Array, Array, float], Array]
    mean: Callable[[Array], Array]
    likeliest_raw: Callable[[Array], Array]
    is_density: bool
    parameters_per_channel: int = 1


LIKELIHOODS: dict[str, Likelihood] = {
    # Of an image in black and white; between them a cross-entropy, whose sum over x is not 1.
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
        _first_sigmoid,
        _least_scale,
        is_density=True,
        parameters_per_channel=2,
    ),
    "gaussian_optimal": Likelihood(
        _gaussian_optimal_log_prob, jax.nn.sigmoid, logit, is_density=True
    ),
    "laplace": Likelihood(_laplace_log_prob, jax.nn.sigmoid, logit, is_density=True),
    # With a scale of each pixel: probabilities of levels stay below 1 however small it gets, so
    # nothing is gained by being certain of a pixel and there is no width to choose.
    "discretised_logistic": Likelihood(
        discretised_logistic.log_prob,
        discretised_logistic.mean,
        _least_scale,
        is_density=False,
        parameters_per_channel=2,
    ),
}
