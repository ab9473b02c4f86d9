"""The pass over images that computes one row of numbers per image.

Training, evaluation and notebooks all use it.

N images, B batch, K classes.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Key, UInt32

from vae_jax import noise
from vae_jax.data.batches import Batch, iterate_batches, to_float, to_unit
from vae_jax.model.branched import BranchedVAE, Model, fold_branch
from vae_jax.model.objective import compute_terms
from vae_jax.model.vae import BoundModel, Posterior
from vae_jax.runtime import processes
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.class_marginal import marginalise_classes
from vae_jax.scoring.scores import HOST_FEATURES, find_column
from vae_jax.scoring.view import View

# (params, images, class_indices=None, description=None, rows=None, fits=None) -> column by name.
Scorer = Callable[..., dict[str, np.ndarray]]


def build_view(
    bound: BoundModel,
    batch: Batch,
    scoring_config: ml_collections.ConfigDict,
    seed: UInt32[Array, ""] | int,
    fits: dict[str, Any],
    host: dict[str, Float[Array, "B"]],
    branch_index: int = 0,
    pooled: Float[Array, "B 2 F"] | None = None,
) -> View:
    """Builds the view of a batch for one branch of a model.

    Args:
        bound: model with its parameters and, if it is conditional, the class of each image.
        batch: images. The random numbers of an image depend only on its index and the seed.
        scoring_config: the `scoring` group of the config.
        seed: seed of the `eval` stream.
        fits: name of a score -> its fit on training normals.
        host: name of a score -> its value of `scores.HOST_FEATURES`.
        branch_index: position of the branch in the model.
        pooled: `View.pooled` of the images.
    """
    x = to_float(batch.image)
    keys = noise.example_keys(noise.stream_key(seed, "eval"), noise.EVAL_STEP, batch.index)
    keys = fold_branch(keys, branch_index)
    latent_keys, pixel_keys, score_keys = (
        noise.fold_into_each(keys, use)
        for use in (noise.LATENT_USE, noise.PIXEL_USE, noise.SCORE_USE)
    )
    posterior = bound.encode(x)
    size = bound.model.latent_size
    z = posterior.sample(noise.draw_normal(latent_keys, size))
    raw = bound.decode(posterior.mu)
    pixel_noise = noise.draw_normal(pixel_keys, x[0].size).reshape(x.shape)
    return View(
        x=x,
        x_hat=bound.model.mean(raw),
        raw=raw,
        sampled_raws=_decode_samples(bound, posterior, latent_keys, scoring_config.samples),
        posterior=posterior,
        terms=compute_terms(bound.model, x, posterior, bound.decode(z)),
        x_hat_noisy=bound.reconstruct(
            x + bound.model.zero_outside_region(scoring_config.noise_std * pixel_noise)
        ),
        bound=bound,
        keys=score_keys,
        scoring_config=scoring_config,
        fits=fits,
        host=host,
        pooled=pooled,
        on_grid=batch.image.dtype != jnp.uint8,
    )


def build_views(
    model: Model,
    params: dict,
    batch: Batch,
    scoring_config: ml_collections.ConfigDict,
    seed: UInt32[Array, ""] | int,
    fits: dict[str, Any],
) -> dict[str, View]:
    """Builds the view of a batch for every branch of a model that is not conditional.

    Args:
        model: the model.
        params: its parameters.
        batch: images, or their observations.
        scoring_config: the `scoring` group of the config.
        seed: seed of the `eval` stream.
        fits: the fits of the whole model; {} if no score reads any.
    """
    branch_params, branch_images = model.split(params), model.split(batch.image)
    branch_fits = model.split(fits) if fits else {name: {} for name in model.branches}
    pooled = batch.image.get("pooled") if isinstance(batch.image, dict) else None
    return {
        name: build_view(
            BoundModel(branch, branch_params[name]),
            batch.replace(image=branch_images[name]),
            scoring_config,
            seed,
            branch_fits[name],
            {},
            branch_index,
            None if pooled is None else to_float(pooled),
        )
        for branch_index, (name, branch) in enumerate(model.branches.items())
    }


def _decode_samples(
    bound: BoundModel, posterior: Posterior, keys: Key[Array, "B"], num_samples: int
) -> Float[Array, "L B H W P"] | None:
    """Decodes posterior samples; the first ones do not depend on their number."""
    if num_samples <= 0 or posterior.logvar is None:
        return None

    def decode(i):
        eps = noise.draw_normal(noise.fold_into_each(keys, i), bound.model.latent_size)
        return bound.decode(posterior.sample(eps))

    return jax.lax.map(decode, noise.FIRST_SAMPLE + jnp.arange(num_samples))


def make_scorer(
    model: Model,
    columns: Sequence[str],
    scoring_config: ml_collections.ConfigDict,
    seed: int,
    devices: Sequence[jax.Device],
    max_images: int | None = None,
) -> Scorer:
    """Makes a function that computes the named columns of many images; all its calls share one program.

    Args:
        model: model to score with.
        columns: names of scores or figures that `scores.find_column` knows.
        scoring_config: the `scoring` group of the config. Its batch size is rounded up to a multiple of
            the number of devices; the scores do not depend on it.
        seed: seed of the `eval` stream.
        devices: devices that share each batch. If they belong to several processes, all processes must
            call the scorer with the same arguments; each process scores its part of the images, and all
            of them get all scores.
        max_images: largest number of images of a call, if it is known. Batches are not larger than that,
            because padding would be scored as well.

    Returns:
        The scorer. Its arguments are

        - params: parameters of the model.
        - images: uint8 [N, H, W, C], or `ObservedImages`.
        - class_indices: class of each image. If a conditional model gets None, it scores every image
          under all classes and the classes are marginalised.
        - description: text of a progress bar; None shows no bar.
        - rows: which images to score, in this order; None scores all of them.
        - fits: the result of `fits.fit_scores` for the columns; None if no column needs a fit.

        It returns the columns by name, float64 [N].
    """
    num_devices = len(devices)
    devices = [d for d in devices if d.process_index == jax.process_index()]
    images_are_shared = len(devices) < num_devices
    max_batch_size = min(scoring_config.batch_size, max_images or scoring_config.batch_size)
    batch_size = -(-max_batch_size // len(devices)) * len(devices)
    mesh = jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,), devices=devices)
    split_by_example = NamedSharding(mesh, PartitionSpec("batch"))
    on_every_device = NamedSharding(mesh, PartitionSpec())
    score_batch = compile_columns(model, columns, scoring_config)
    host_features = {name: HOST_FEATURES[name] for name in columns if name in HOST_FEATURES}

    def score(params, images, class_indices=None, description=None, rows=None, fits=None):
        all_rows = np.arange(len(images)) if rows is None else rows
        rows = all_rows
        if images_are_shared:
            rows = all_rows[processes.find_own_slice(len(all_rows), scoring_config.batch_size)]
        constants = jax.device_put((params, fits or {}), on_every_device)
        values = {name: np.empty(len(rows), np.float32) for name in columns}
        num_done = 0
        with open_progress_bar(len(rows), description, unit="image") as bar:
            for batch in iterate_batches(images, batch_size, class_indices, rows):
                count = int(batch.mask.sum())
                host = {name: compute(batch.image) for name, compute in host_features.items()}
                placed = jax.device_put((batch, host), split_by_example)
                batch_values = score_batch(
                    *constants, *placed, np.uint32(seed), classes_given=class_indices is not None
                )
                for name, column in jax.device_get(batch_values).items():
                    values[name][num_done : num_done + count] = column[:count]
                num_done += count
                bar.update(count)
        if images_are_shared:
            values = {
                name: processes.gather_slices(column, len(all_rows), scoring_config.batch_size)
                for name, column in values.items()
            }
        return {name: column.astype(np.float64) for name, column in values.items()}

    return score


def compile_columns(
    model: Model, columns: Sequence[str], scoring_config: ml_collections.ConfigDict
) -> Callable[..., dict[str, Float[Array, "B"]]]:
    """Returns the compiled function of a batch; it marginalises the classes where they are not given."""
    functions = {name: find_column(name) for name in columns}

    @functools.partial(jax.jit, static_argnames="classes_given")
    def score_batch(params, fits, batch, host, seed, classes_given):
        def score_under(class_index):
            bound = BoundModel(model, params, class_index)
            view = build_view(bound, batch, scoring_config, seed, fits, host)
            values = {name: function({"pixels": view}) for name, function in functions.items()}
            return values, view.terms.negative_elbo

        if isinstance(model, BranchedVAE):
            views = build_views(model, params, batch, scoring_config, seed, fits)
            values = {name: function(views) for name, function in functions.items()}
        elif not model.num_classes:
            values, _ = score_under(None)
        elif classes_given:
            values, _ = score_under(batch.class_index)
        else:
            values_by_class, losses = jax.lax.map(score_under, jnp.arange(model.num_classes))
            num_values = model.select_region(to_unit(batch.image))[0].size
            values = marginalise_classes(values_by_class, losses, num_values, fits)
        return {name: column.astype(jnp.float32) for name, column in values.items()}

    return score_batch
