"""A logistic distribution discretised to the 256 grey levels, with a scale for each pixel.

The probability of the level k / 255 is the integral of a logistic density with mean `location` and scale s
over the interval that reaches half a level to either side. The interval of black (k = 0) extends to minus
infinity and the interval of white (k = 255) to infinity, so that the 256 probabilities sum to 1. Being
probabilities, they are at most 1, unlike a density.

Source: Salimans et al. 2017, "PixelCNN++", section 2.1, with one logistic.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.link import log_scale_between, log_sinhc

_STEP = 1 / 255  # distance between two grey levels
_MIN_SCALE = 1 / 2048  # an eighth of a grey level; a level between black and white has at most 0.96


def log_prob(
    x: Float[Array, "B H W C"], raw: Float[Array, "B H W P"], sigma: float
) -> Float[Array, "B H W C"]:
    """Returns the log-probability of the grey level x, nats; sigma is not used."""
    del sigma
    location, log_scale = _parameters(raw)
    inverse = jnp.exp(-log_scale)
    above = (x + 0.5 * _STEP - location) * inverse
    below = (x - 0.5 * _STEP - location) * inverse
    width = _STEP * inverse
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), which avoids
    # cancellation.
    black, white = jax.nn.log_sigmoid(above), jax.nn.log_sigmoid(-below)
    log_width = math.log(_STEP) - log_scale
    inside = black + white + log_width - 0.5 * width + log_sinhc(0.5 * width)
    return jnp.where(x < 0.5 * _STEP, black, jnp.where(x > 1 - 0.5 * _STEP, white, inside))


def mean(raw: Float[Array, "B H W P"]) -> Float[Array, "B H W C"]:
    """Returns the expectation of a logistic variable that is clipped to [0, 1].

    It is the integral of P(x > t) over t in [0, 1]. The expectation of the discrete levels differs from it
    by less than half a level.
    """
    location, log_scale = _parameters(raw)
    scale = jnp.exp(log_scale)
    return scale * (jax.nn.softplus(location / scale) - jax.nn.softplus((location - 1) / scale))


def _parameters(raw):
    location, scale = jnp.split(raw, 2, axis=3)
    return jax.nn.sigmoid(location), log_scale_between(_MIN_SCALE, scale)
