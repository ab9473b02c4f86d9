"""Link functions: they map the decoder's unbounded output to parameters of a density, and back."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def logit(x: Float[Array, "..."], margin: float = 1e-6) -> Float[Array, "..."]:
    """Returns raw with sigmoid(raw) = x, after x is clipped to [margin, 1 - margin]."""
    x = jnp.clip(x, margin, 1 - margin)
    return jnp.log(x) - jnp.log1p(-x)


def log_scale_between(min_scale: float, raw: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns the logarithm of a scale between `min_scale` and 1; raw = 0 gives sqrt(min_scale).

    The scale is bounded on both sides, so that neither it nor its inverse overflows. An image in [0, 1]
    needs no scale above 1.
    """
    return math.log(min_scale) * jax.nn.sigmoid(-raw)


def log_sinhc(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns log( sinh(u) / u ), accurate in float32 for every finite u, as is its gradient."""
    small = jnp.abs(u) < 0.3
    # Both branches are differentiated for every u, so each receives only arguments for which it is finite.
    near = jnp.where(small, u, 0.0)
    far = jnp.abs(jnp.where(small, 1.0, u))
    square = jnp.square(near)
    series = square / 6 - jnp.square(square) / 180 + square**3 / 2835
    return jnp.where(small, series, far + jnp.log1p(-jnp.exp(-2 * far)) - jnp.log(2 * far))
