"""From the decoder's unbounded output to parameters of a density, and back."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def logit(x: Float[Array, "..."], margin: float = 1e-6) -> Float[Array, "..."]:
    """Returns raw with sigmoid(raw) = x, for x kept `margin` away from 0 and 1."""
    x = jnp.clip(x, margin, 1 - margin)
    return jnp.log(x) - jnp.log1p(-x)


def log_scale_between(least: float, raw: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns the logarithm of a scale between `least` and 1, halfway (by ratio) where raw is 0.

    Bounded at both ends, so that neither the scale nor its inverse overflows; no image in [0, 1]
    needs more than 1.
    """
    return math.log(least) * jax.nn.sigmoid(-raw)


def log_sinhc(u: Float[Array, "..."]) -> Float[Array, "..."]:
    """Returns log( sinh(u) / u ), exact to float32 with its gradient for every finite u."""
    small = jnp.abs(u) < 0.3
    # Both branches are differentiated, so each gets only arguments where it is finite.
    near = jnp.where(small, u, 0.0)
    far = jnp.abs(jnp.where(small, 1.0, u))
    square = jnp.square(near)
    series = square / 6 - jnp.square(square) / 180 + square**3 / 2835
    return jnp.where(small, series, far + jnp.log1p(-jnp.exp(-2 * far)) - jnp.log(2 * far))
