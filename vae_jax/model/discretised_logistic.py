"""A logistic cut into the 256 grey levels: probabilities, so bounded, with a scale of each pixel.

The level k / 255 has the probability that a logistic at `location` with scale s puts on half a level
around it; all below falls to black, all above to white, so that the 256 probabilities sum to 1.

Source: Salimans et al. 2017, "PixelCNN++", section 2.1, with one logistic.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.link import log_scale_between, log_sinhc

_STEP = 1 / 255  # between two levels
_LEAST_SCALE = 1 / 2048  # an eighth of a level: then one level holds 0.96 of the probability


def log_prob(
    x: Float[Array, "B H W C"], raw: Float[Array, "B H W P"], sigma: float
) -> Float[Array, "B H W C"]:
    """Returns the log-probability of the level around x, nats; sigma plays no part."""
    del sigma
    location, log_scale = _parameters(raw)
    inverse = jnp.exp(-log_scale)
    above = (x + 0.5 * _STEP - location) * inverse
    below = (x - 0.5 * _STEP - location) * inverse
    width = _STEP * inverse
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)): no difference to cancel.
    black, white = jax.nn.log_sigmoid(above), jax.nn.log_sigmoid(-below)
    log_width = math.log(_STEP) - log_scale
    inside = black + white + log_width - 0.5 * width + log_sinhc(0.5 * width)
    return jnp.where(x < 0.5 * _STEP, black, jnp.where(x > 1 - 0.5 * _STEP, white, inside))


def mean(raw: Float[Array, "B H W P"]) -> Float[Array, "B H W C"]:
    """Returns the expected x: that of the logistic with its tails folded onto 0 and 1.

    The integral of P(x > t) over t in [0, 1]; that of the levels differs by less than half a level.
    """
    location, log_scale = _parameters(raw)
    scale = jnp.exp(log_scale)
    return scale * (jax.nn.softplus(location / scale) - jax.nn.softplus((location - 1) / scale))


def _parameters(raw):
    location, scale = jnp.split(raw, 2, axis=3)
    return jax.nn.sigmoid(location), log_scale_between(_LEAST_SCALE, scale)
