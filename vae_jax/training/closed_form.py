"""Training in closed form: the linear model is fitted at once, from the training normals alone.

n training images, h w places, K channels.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vae_jax.data.batches import to_host_float
from vae_jax.data.image_store import Images, take_images
from vae_jax.data.row_draw import draw_rows
from vae_jax.model.branched import Model
from vae_jax.model.linear import fit_probabilistic_pca
from vae_jax.observation.observed import ObservedImages, select_inputs
from vae_jax.runtime.memory import measure_peak_memory_bytes
from vae_jax.training.state import TrainState

_MAX_VALUES = 2**28  # values of training images that a fit reads: 1 GiB as float32


def fit_linear(
    model: Model, state: TrainState, inputs: Images | ObservedImages, seed: int
) -> tuple[TrainState, dict[str, Any]]:
    """Fits every branch of a linear model to training normals.

    Args:
        model: the model, whose branches are linear.
        state: state before the first step.
        inputs: what the model reads of the training normals. If these are too many for the memory, a random
            choice of them is used.
        seed: seed of the random choice.

    Returns:
        The state after this one step, and what `metrics.jsonl` says about its cost.
    """
    start = time.perf_counter()
    params = {}
    for name, branch in model.branches.items():
        x = _read_floats(select_inputs(inputs, name), seed)
        fitted = fit_probabilistic_pca(x, branch.latent_dim, seed)
        params[name] = jax.tree.map(jnp.asarray, fitted)
    seconds = time.perf_counter() - start
    state = state.replace(step=state.step + 1, params=model.join(params))
    return state, {
        "images_per_second": len(inputs) / seconds,
        "seconds": seconds,
        "peak_memory_bytes": measure_peak_memory_bytes(),
    }


def _read_floats(images: Images, seed: int) -> Float[np.ndarray, "n h w K"]:
    max_images = max(2, _MAX_VALUES // int(np.prod(images.shape[1:])))
    rows = draw_rows(len(images), max_images, seed, in_order=True)
    return to_host_float(take_images(images, rows)[:])
