"""The continuous Bernoulli: a density on [0, 1], one parameter.

With raw = logit(lambda) the natural parameter, p(x) = raw exp(raw x) / (exp(raw) - 1), which is
exp( raw (x - 1/2) ) u / sinh(u) with u = raw / 2: symmetric about raw = 0, where it is uniform.

Source: Loaiza-Ganem and Cunningham 2019, "The continuous Bernoulli: fixing a pervasive error in
variational autoencoders".
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.link import log_sinhc

# The density of black grows without end as the mean nears 0. No stored image tells its mean more finely
# than half a grey level, so the best output for x stops there.
_HALF_LEVEL = 1 / 510
_WIDEST_RAW = 520.0  # the mean is half a level from 1 at raw = 510


def log_prob(
    x: Float[Array, "B H W C"], raw: Float[Array, "B H W C"], sigma: float
) -> Float[Array, "B H W C"]:
    """Returns log p(x), nats; sigma plays no part."""
    del sigma
    return raw * (x - 0.5) - log_sinhc(0.5 * raw)


def mean(raw: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns the expected x, which is not lambda = sigmoid(raw) but 1/2 + (coth(u) - 1/u) / 2."""
    u = 0.5 * raw
    small = jnp.abs(u) < 0.3
    near, far = jnp.where(small, u, 0.0), jnp.where(small, 1.0, u)
    series = near / 3 - near**3 / 45 + 2 * near**5 / 945
    return 0.5 + 0.5 * jnp.where(small, series, 1 / jnp.tanh(far) - 1 / far)


def likeliest_raw(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns raw with mean(raw) = x, the most likely for x, by bisection; x half a level inside (0, 1)."""
    x = jnp.clip(x, _HALF_LEVEL, 1 - _HALF_LEVEL)

    def halve(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        below = mean(middle) < x
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    widest = jnp.full_like(x, _WIDEST_RAW)
    low, high = jax.lax.fori_loop(0, 32, halve, (-widest, widest))
    return 0.5 * (low + high)
