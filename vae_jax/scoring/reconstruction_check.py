"""Are reconstructions of normal images better than the mean image, and better than those of samples?

A decoder learns from posterior samples. If the code is hardly used, the samples fill the prior, and the
posterior mean lies where the decoder was rarely trained: it may decode to a worse copy than a sample does.
Neither the loss nor the number of active units shows this.

B batch, n training normals, H W pixels or cells, C channels.
"""

import logging

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float

from vae_jax import noise
from vae_jax.data.batches import to_float, to_host_float
from vae_jax.data.image_store import Images
from vae_jax.metrics import image_quality
from vae_jax.model.branched import fold_branch
from vae_jax.model.vae import VAE
from vae_jax.observation.observed import ObservedImages, select_inputs
from vae_jax.scoring.class_marginal import bind_most_likely_class
from vae_jax.scoring.inference import TrainedModel

_log = logging.getLogger(__name__)

CHOOSE_SAMPLES = -1  # value of `scoring.samples` that leaves the choice to validation normals
_NUM_SAMPLES = 8  # posterior samples where they are better than the posterior mean
_CHUNK = 256  # training normals in memory as floats at the same time


def measure_reconstruction_errors(
    trained: TrainedModel, train: Images | ObservedImages, val: Images | ObservedImages, seed: int
) -> dict[str, dict[str, float]]:
    """Measures the mean squared error of validation normals for three kinds of reconstruction.

    Args:
        trained: the model.
        train: what the model reads of the training normals.
        val: what it reads of the validation normals; at least one image.
        seed: seed of the posterior samples.

    Returns:
        Name of a branch -> mean squared error of reconstructions from the `posterior_mean` and from a
        `posterior_sample`, and of the mean training image as the copy of every image, `mean_image`. Pixels
        are in [0, 1]; other observations are standardised, so the last is about their variance. An
        autoencoder has no samples.
    """
    model = trained.model
    mean_images = {name: _average(select_inputs(train, name)) for name in model.branches}

    @jax.jit
    def compute_errors(params, batch, seed, mean_images):
        keys = noise.example_keys(noise.stream_key(seed, "eval"), noise.EVAL_STEP, batch.index)
        branch_params, images = model.split(params), model.split(batch.image)
        return {
            name: _compute_branch_errors(
                branch,
                branch_params[name],
                to_float(images[name]),
                mean_images[name],
                noise.fold_into_each(fold_branch(keys, i), noise.LATENT_USE),
            )
            for i, (name, branch) in enumerate(model.branches.items())
        }

    # The seed is an argument and not a constant of the program, so that all seeds share one program.
    errors = trained.map_batches(
        lambda params, batch: compute_errors(params, batch, np.uint32(seed), mean_images), val
    )
    return jax.tree.map(lambda values: float(values.mean(dtype=np.float64)), errors)


def choose_samples(
    scoring_config: ml_collections.ConfigDict, errors: dict[str, dict[str, float]]
) -> ml_collections.ConfigDict:
    """Returns the config with a number of posterior samples in place of `CHOOSE_SAMPLES`.

    Reconstructions come from the posterior mean, unless a branch reconstructs validation normals better
    from a sample of the posterior.

    Args:
        scoring_config: the `scoring` group of the config.
        errors: result of `measure_reconstruction_errors`.
    """
    if scoring_config.samples != CHOOSE_SAMPLES:
        return scoring_config
    chosen = scoring_config.copy_and_resolve_references()
    samples_are_better = any(
        error.get("posterior_sample", np.inf) < error["posterior_mean"] for error in errors.values()
    )
    chosen.samples = _NUM_SAMPLES if samples_are_better else 0
    if chosen.samples:
        _log.info(
            "reconstructions come from %d posterior samples, because the posterior mean reconstructs "
            "validation normals worse than one sample does",
            chosen.samples,
        )
    return chosen


def _compute_branch_errors(
    branch: VAE,
    params: dict,
    x: Float[Array, "B H W C"],
    mean_image: Float[Array, "H W C"],
    latent_keys: Array,
) -> dict[str, Float[Array, "B"]]:
    """Returns the error of each image for each kind of reconstruction."""
    bound = bind_most_likely_class(branch, params, x)
    posterior = bound.encode(x)
    copies = {
        "posterior_mean": branch.mean(bound.decode(posterior.mu)),
        "mean_image": jnp.broadcast_to(mean_image, x.shape),
    }
    if branch.sampled:
        eps = noise.draw_normal(latent_keys, branch.latent_size)
        copies["posterior_sample"] = branch.mean(bound.decode(posterior.sample(eps)))
    return {
        name: image_quality.mse(branch.select_region(x), branch.select_region(copy))
        for name, copy in copies.items()
    }


def _average(images: Images) -> Float[np.ndarray, "H W C"]:
    """Returns the mean of all images, as a model reads them."""
    total = np.zeros(images.shape[1:], np.float64)
    for start in range(0, len(images), _CHUNK):
        chunk = to_host_float(images[start : start + _CHUNK])
        total += chunk.sum(axis=0, dtype=np.float64)
    return (total / len(images)).astype(np.float32)
