"""Images in, posteriors out.

N images.
"""

import jax
import numpy as np
from jaxtyping import Int32, UInt8

from vae_jax.data.stored import Images
from vae_jax.model.vae import VAE, Bound, Posterior
from vae_jax.scoring.batches import batches
from vae_jax.scoring.condition import bind
from vae_jax.training.step import to_unit


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

    @jax.jit
    def one_batch(params, batch):
        x = to_unit(batch.image)
        if conditions is None:
            return bind(model, params, x).encode(x)
        return Bound(model, params, batch.condition).encode(x)

    parts = []
    for batch in batches(images, batch_size, conditions):
        count = int(batch.mask.sum())
        part = jax.device_get(one_batch(params, batch))
        parts.append(jax.tree.map(lambda array, count=count: array[:count], part))
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)
