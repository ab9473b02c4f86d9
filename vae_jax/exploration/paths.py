"""Ways through the latent space: along one dimension, or from one code to another.

S steps, Z latent, n images.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from vae_jax.model.vae import Posterior

# A latent dimension is active when its mean varies more than this over images (Burda et al. 2016).
ACTIVE_VARIANCE = 0.01
REACH = 3.0  # standard deviations of the codes, either way, that a traversal goes


def linear(
    start: Float[np.ndarray, "Z"], end: Float[np.ndarray, "Z"], steps: int
) -> Float[np.ndarray, "S Z"]:
    """Returns the straight line from `start` to `end`, both included."""
    t = np.linspace(0, 1, steps)[:, None]
    return (1 - t) * start + t * end


def spherical(
    start: Float[np.ndarray, "Z"], end: Float[np.ndarray, "Z"], steps: int
) -> Float[np.ndarray, "S Z"]:
    """Returns the way from `start` to `end` that turns at an even rate, both included.

    sin((1 - t) w) / sin(w) start + sin(t w) / sin(w) end, w the angle between the two. In many dimensions
    a straight line passes nearer to the origin than any code of N(0, 1); this one keeps away. The straight
    line where an angle of 0 or pi, or a code at the origin, leaves no turn to take.

    Source: Shoemake 1985; White 2016, "Sampling generative networks".
    """
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    cosine = np.clip(start @ end / lengths, -1, 1) if lengths else 1.0
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:
        return linear(start, end, steps)
    t = np.linspace(0, 1, steps)[:, None]
    return (np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)


@dataclasses.dataclass(frozen=True)
class Dimensions:
    """The latent dimensions that carry something, the most telling first.

    Attributes:
        active: their numbers.
        weight: what they are sorted by: mean KL, nats; for an autoencoder the variance of the code.
        mean: of the codes in each of all Z dimensions.
        deviation: likewise.
    """

    active: Int[np.ndarray, "A"]
    weight: Float[np.ndarray, "A"]
    mean: Float[np.ndarray, "Z"]
    deviation: Float[np.ndarray, "Z"]


def dimensions(posterior: Posterior) -> Dimensions:
    """Returns the active dimensions: of a VAE, those whose mean varies by more than `ACTIVE_VARIANCE`.

    The codes of an autoencoder have no unit, so that all its dimensions count.
    """
    mu = posterior.mu.astype(np.float64)
    variance = mu.var(axis=0)
    if posterior.logvar is None:
        weight, active = variance, np.ones(len(variance), bool)
    else:
        logvar = posterior.logvar.astype(np.float64)
        weight = (0.5 * (np.square(mu) + np.exp(logvar) - 1 - logvar)).mean(axis=0)
        active = variance > ACTIVE_VARIANCE
    order = np.argsort(-weight, kind="stable")
    order = order[active[order]]
    return Dimensions(order, weight[order], mu.mean(axis=0), np.sqrt(variance))


def traverse(found: Dimensions, dimension: int, steps: int) -> Float[np.ndarray, "S Z"]:
    """Returns the codes' mean with one dimension moved over `REACH` standard deviations either way."""
    codes = np.repeat(found.mean[None], steps, axis=0)
    reach = REACH * found.deviation[dimension]
    codes[:, dimension] += np.linspace(-reach, reach, steps)
    return codes
