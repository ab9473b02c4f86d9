"""Images in, images and codes out: what galleries, maps and latent figures are made of.

N images, Z latent.
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from vae_jax.model.vae import VAE, Bound
from vae_jax.scoring.batches import over_batches
from vae_jax.scoring.condition import bind
from vae_jax.training import noise
from vae_jax.training.step import to_unit


@flax.struct.dataclass
class Reconstructions:
    """What the model makes of N images.

    Attributes:
        x_hat: from the posterior mean, in [0, 1].
        mu: posterior means.
        logvar: posterior log-variances; None for an autoencoder.
    """

    x_hat: Any  # float32 [N, H, W, C]
    mu: Any  # float32 [N, Z]
    logvar: Any  # float32 [N, Z], or None


Reconstruct = Callable[[dict, UInt8[np.ndarray, "N H W C"]], Reconstructions]


def make_reconstruct(model: VAE, batch_size: int) -> Reconstruct:
    """Returns (params, images) -> reconstructions, all of them in host memory at once.

    A conditional model takes each image's most likely class.
    """

    @jax.jit
    def one_batch(params, image):
        x = to_unit(image)
        bound = bind(model, params, x)
        posterior = bound.encode(x)
        x_hat = model.mean(bound.decode(posterior.mu))
        return Reconstructions(x_hat, posterior.mu, posterior.logvar)

    def reconstruct(params, images):
        return over_batches(lambda batch: one_batch(params, batch.image), images, batch_size)

    return reconstruct


def sample_prior(
    model: VAE, params: dict, count: int, seed: int
) -> Float[np.ndarray, "count H W C"]:
    """Decodes `count` draws z ~ N(0, 1) of the `sample` stream; the expected image of each.

    A conditional model takes its classes in turn. An autoencoder has no prior, so it gives none.
    """
    if not model.sampled:
        return np.zeros((0, model.image_size, model.image_size, model.channels), np.float32)

    @jax.jit
    def draw(params, seed):
        keys = noise.example_keys(noise.stream(seed, "sample"), 0, jnp.arange(count))
        z = noise.normal(keys, model.latent_dim)
        classes = jnp.arange(count) % model.num_classes if model.num_classes else None
        return model.mean(Bound(model, params, classes).decode(z))

    return np.asarray(draw(params, np.uint32(seed)))
