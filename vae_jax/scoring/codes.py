"""Images in, posteriors out.

N images.
"""

import functools

import jax
import numpy as np
from jaxtyping import Int32, UInt8

from vae_jax.data.stored import Images
from vae_jax.model.vae import VAE, Bound, Posterior
from vae_jax.scoring.batches import over_batches
from vae_jax.scoring.condition import bind
from vae_jax.training.step import Batch, to_unit


def encode(
    model: VAE,
    params: dict,
    images: UInt8[Images, "N H W C"],
    batch_size: int,
    conditions: Int32[np.ndarray, "N"] | None = None,
) -> Posterior:
    """Returns the posterior of each image, NumPy.

    Args:
        model: that encodes.
        params: its parameters.
        images: as stored.
        batch_size: images a step.
        conditions: class of each, for a conditional model; None takes the most likely ones.
    """
    given = conditions is not None
    return over_batches(
        lambda batch: _encode(model, params, batch, given), images, batch_size, conditions
    )


# Compiled once for all calls of an evaluation, which encodes training and calibration normals.
@functools.partial(jax.jit, static_argnames=("model", "given"))
def _encode(model: VAE, params: dict, batch: Batch, given: bool) -> Posterior:
    x = to_unit(batch.image)
    if given:
        return Bound(model, params, batch.condition).encode(x)
    return bind(model, params, x).encode(x)
