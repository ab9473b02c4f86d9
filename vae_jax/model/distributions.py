"""Densities of the model, in nats, each a few lines of pure `jnp`.

`x` image in [0, 1]; `raw` what the decoder puts out for it, before any squashing; B batch, H W image,
C channels, Z latent. A likelihood returns the log-density of every pixel, so that the same numbers give
the training loss, a score per image and a map per pixel.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


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


def _gaussian_log_prob(x, raw, sigma):
    """log N(x; sigmoid(raw), sigma^2)."""
    residual = (x - jax.nn.sigmoid(raw)) / sigma
    return -0.5 * jnp.square(residual) - math.log(sigma) - 0.5 * math.log(2.0 * math.pi)


@dataclasses.dataclass(frozen=True)
class Likelihood:
    """p(x | z) as functions of the decoder's output.

    Attributes:
        log_prob: (x [B H W C], raw, sigma) -> log-density of every pixel [B H W C], nats.
        mean: raw -> x_hat [B H W C] in [0, 1], the expected image.
    """

    log_prob: Callable[[Array, Array, float], Array]
    mean: Callable[[Array], Array]


LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": Likelihood(_bernoulli_log_prob, jax.nn.sigmoid),
    "gaussian": Likelihood(_gaussian_log_prob, jax.nn.sigmoid),
}
