"""The continuous Bernoulli: a density on [0, 1] with one parameter.

With the natural parameter raw = logit(lambda), the density is p(x) = raw exp(raw x) / (exp(raw) - 1). This
equals exp( raw (x - 1/2) ) u / sinh(u) with u = raw / 2, which is symmetric about raw = 0; there it is
uniform.

Source: Loaiza-Ganem and Cunningham 2019, "The continuous Bernoulli: fixing a pervasive error in
variational autoencoders".
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.link import log_sinhc

# The density of a black pixel grows without bound as the mean approaches 0. A stored image has whole grey
# levels, so `likeliest_raw` keeps the mean half a grey level away from 0 and 1.
_HALF_LEVEL = 1 / 510
_MAX_RAW = 520.0  # limit of the bisection; the mean is half a grey level below 1 at raw = 510


def log_prob(
    x: Float[Array, "B H W C"], raw: Float[Array, "B H W C"], sigma: float
) -> Float[Array, "B H W C"]:
    """Returns log p(x), nats; sigma is not used."""
    del sigma
    return raw * (x - 0.5) - log_sinhc(0.5 * raw)


def mean(raw: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns the expected x: 1/2 + (coth(u) - 1/u) / 2 with u = raw / 2, which is not lambda."""
    u = 0.5 * raw
    small = jnp.abs(u) < 0.3
    near, far = jnp.where(small, u, 0.0), jnp.where(small, 1.0, u)
    series = near / 3 - near**3 / 45 + 2 * near**5 / 945
    return 0.5 + 0.5 * jnp.where(small, series, 1 / jnp.tanh(far) - 1 / far)


def likeliest_raw(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns the raw output that makes x most likely: the solution of mean(raw) = x, by bisection.

    Values of x closer to 0 or 1 than half a grey level are first moved to that distance.
    """
    x = jnp.clip(x, _HALF_LEVEL, 1 - _HALF_LEVEL)

    def halve(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        below = mean(middle) < x
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    limit = jnp.full_like(x, _MAX_RAW)
    low, high = jax.lax.fori_loop(0, 32, halve, (-limit, limit))
    return 0.5 * (low + high)
