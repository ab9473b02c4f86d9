"""Paths through the latent space: along one dimension, or from one code to another.

S steps, Z latent, A active dimensions.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from vae_jax.model.distributions import ACTIVE_VARIANCE, kl_to_standard_normal
from vae_jax.model.vae import Posterior

REACH = 3.0  # a traversal covers this many standard deviations of the codes in both directions


def interpolate_linearly(
    start: Float[np.ndarray, "Z"], end: Float[np.ndarray, "Z"], steps: int
) -> Float[np.ndarray, "S Z"]:
    """Returns equally spaced points on the straight line from `start` to `end`, including both."""
    t = np.linspace(0, 1, steps)[:, None]
    return (1 - t) * start + t * end


def interpolate_spherically(
    start: Float[np.ndarray, "Z"], end: Float[np.ndarray, "Z"], steps: int
) -> Float[np.ndarray, "S Z"]:
    """Returns the path from `start` to `end` that turns by equal angles (slerp), including both.

    sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end, where w is the angle between the two. In many
    dimensions a straight line passes nearer to the origin than any code drawn from N(0, 1). This path does
    not. It becomes the straight line if the angle is 0 or pi or if a code is the origin, because the
    direction of the turn is then not defined.

    Source: Shoemake 1985; White 2016, "Sampling generative networks".
    """
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    cosine = np.clip(start @ end / lengths, -1, 1) if lengths else 1.0
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:
        return interpolate_linearly(start, end, steps)
    t = np.linspace(0, 1, steps)[:, None]
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)


@dataclasses.dataclass(frozen=True)
class LatentDimensions:
    """The active latent dimensions, the most informative one first, and moments of the codes.

    Attributes:
        active: index of each active dimension.
        weight: value by which the active dimensions are sorted: the mean KL divergence in nats, or the
            variance of the codes for an autoencoder.
        mean: mean of the codes in every dimension, active or not.
        deviation: standard deviation of the codes in every dimension, active or not.
    """

    active: Int[np.ndarray, "A"]
    weight: Float[np.ndarray, "A"]
    mean: Float[np.ndarray, "Z"]
    deviation: Float[np.ndarray, "Z"]


def find_active_dimensions(posterior: Posterior) -> LatentDimensions:
    """Returns the dimensions whose posterior mean varies by more than `ACTIVE_VARIANCE` over images.

    All dimensions of an autoencoder count as active, because its codes have no natural scale.
    """
    mu = posterior.mu.astype(np.float64)
    variance = mu.var(axis=0)
    if posterior.logvar is None:
        weight, is_active = variance, np.ones(len(variance), bool)
    else:
        logvar = posterior.logvar.astype(np.float64)
        weight = kl_to_standard_normal(mu, logvar).mean(axis=0)
        is_active = variance > ACTIVE_VARIANCE
    order = np.argsort(-weight, kind="stable")
    order = order[is_active[order]]
    return LatentDimensions(order, weight[order], mu.mean(axis=0), np.sqrt(variance))


def traverse_dimension(
    dimensions: LatentDimensions, dimension: int, steps: int
) -> Float[np.ndarray, "S Z"]:
    """Returns the mean code with one dimension moved from -`REACH` to `REACH` standard deviations."""
    codes = np.repeat(dimensions.mean[None], steps, axis=0)
    reach = REACH * dimensions.deviation[dimension]
    codes[:, dimension] += np.linspace(-reach, reach, steps)
    return codes
