"""How reconstructions stand noise: the error against the clean image, as noise on the input grows.

N images.
"""

import jax
import jax.numpy as jnp
from jaxtyping import UInt8

from vae_jax.data.batches import map_batches, to_unit
from vae_jax.data.image_store import Images
from vae_jax.data.row_draw import draw_rows
from vae_jax.metrics import image_quality
from vae_jax.model import noise
from vae_jax.model.vae import VAE
from vae_jax.scoring.class_marginal import bind_most_likely_class

# Standard deviations of the Gaussian noise, on [0, 1] images.
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_MOST_IMAGES = 1000
_STREAM = 3  # folded into the keys of the images: other noise than that of `noisy_mse`


def noise_sweep(
    model: VAE,
    params: dict,
    images: UInt8[Images, "N H W C"],
    batch_size: int,
    seed: int,
) -> list[dict[str, float]]:
    """Returns `noise_std` and `mse` at each level, the mean over at most 1,000 images drawn by the seed.

    The reconstruction from the posterior mean of image plus noise is held against the image without. An
    image gets the same noise at every level, scaled. A conditional model takes the class that is most
    likely for the noisy image.
    """

    @jax.jit
    def errors(params, batch, level):
        x = to_unit(batch.image)
        keys = noise.example_keys(noise.stream_key(seed, "eval"), _STREAM, batch.index)
        eps = noise.draw_normal(keys, x[0].size).reshape(x.shape)
        noisy = x + model.zero_outside_region(level * eps)
        x_hat = bind_most_likely_class(model, params, noisy).reconstruct(noisy)
        return image_quality.mse(model.select_region(x), model.select_region(x_hat))

    drawn = images[draw_rows(len(images), _MOST_IMAGES, seed, in_order=False)]
    found = []
    for level in LEVELS:
        each = map_batches(
            lambda batch, level=level: errors(params, batch, jnp.float32(level)), drawn, batch_size
        )
        found.append({"noise_std": level, "mse": float(each.mean())})
    return found
