"""Robustness to noise: the reconstruction error against the clean image, as noise on the input grows.

N images, H W image, C channels.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from vae_jax import noise
from vae_jax.data.batches import to_unit
from vae_jax.data.image_store import Images
from vae_jax.data.row_draw import draw_rows
from vae_jax.metrics import image_quality
from vae_jax.scoring.class_marginal import bind_most_likely_class
from vae_jax.scoring.inference import TrainedModel

# Standard deviations of the Gaussian noise, in units of [0, 1] images.
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_MAX_IMAGES = 1000


def measure_noise_robustness(
    trained: TrainedModel, images: UInt8[Images, "N H W C"], seed: int
) -> list[dict[str, float]]:
    """Measures how far the reconstruction of a noisy image is from the clean image.

    The reconstruction is decoded from the posterior mean of the noisy image. An image gets the same noise
    at every level, scaled. A conditional model takes the class that is most likely for the noisy image.

    Args:
        trained: the model.
        images: at least one image; at most 1,000 of them are chosen at random.
        seed: seed of the random choice and of the noise.

    Returns:
        For each level its standard deviation as `noise_std`, and `mse`, the mean over the images.
    """
    model = trained.model

    @jax.jit
    def compute_errors(params, batch, seed, level):
        x = to_unit(batch.image)
        keys = noise.example_keys(noise.stream_key(seed, "eval"), noise.SWEEP_STEP, batch.index)
        eps = noise.draw_normal(keys, x[0].size).reshape(x.shape)
        noisy = x + model.zero_outside_region(level * eps)
        x_hat = bind_most_likely_class(model, params, noisy).reconstruct(noisy)
        return image_quality.mse(model.select_region(x), model.select_region(x_hat))

    drawn = images[draw_rows(len(images), _MAX_IMAGES, seed, in_order=False)]
    # The seed is an argument and not a constant of the program, so that all seeds share one program.
    traced_seed = np.uint32(seed)
    results = []
    for level in LEVELS:
        errors = trained.map_batches(
            lambda params, batch, level=level: compute_errors(
                params, batch, traced_seed, jnp.float32(level)
            ),
            drawn,
        )
        results.append({"noise_std": level, "mse": float(errors.mean())})
    return results
