"""Images in, one row an image out: the pass that training, evaluation and notebooks share.

N images, B the batch.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, UInt32

from vae_jax.data.batches import Batch, iterate_batches, to_unit
from vae_jax.model import noise
from vae_jax.model.objective import compute_terms
from vae_jax.model.vae import VAE, BoundModel
from vae_jax.runtime import processes
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.scoring.class_marginal import marginalise_classes
from vae_jax.scoring.scores import COLUMNS, HOST_FEATURES
from vae_jax.scoring.view import View

# (params, images, class of each where it is given, description of a progress bar, rows) -> columns.
Scorer = Callable[..., dict[str, np.ndarray]]


def build_view(
    bound: BoundModel,
    batch: Batch,
    scoring_config: ml_collections.ConfigDict,
    seed: UInt32[Array, ""] | int,
    fits: dict[str, Any],
    host: dict[str, Float[Array, "B"]],
) -> View:
    """Looks at a batch; what is drawn for an image follows from its index alone."""
    x = to_unit(batch.image)
    keys = noise.example_keys(noise.stream_key(seed, "eval"), 0, batch.index)
    latent_keys, pixel_keys, score_keys = (
        jax.vmap(lambda key, use=use: jax.random.fold_in(key, use))(keys) for use in range(3)
    )
    posterior = bound.encode(x)
    z = posterior.sample(noise.draw_normal(latent_keys, bound.model.latent_dim))
    pixel_noise = noise.draw_normal(pixel_keys, x[0].size).reshape(x.shape)
    return View(
        x=x,
        x_hat=bound.model.mean(bound.decode(posterior.mu)),
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
    )


def make_scorer(
    model: VAE,
    columns: Sequence[str],
    scoring_config: ml_collections.ConfigDict,
    seed: int,
    devices: Sequence[jax.Device],
    fits: dict[str, Any] | None = None,
    max_images: int | None = None,
) -> Scorer:
    """Returns (params, images, class_indices=None, description=None, rows=None) -> columns, each [N].

    A conditional model looks at each image under its class where class_indices are given, else under all. A
    description asks for a progress bar; rows say which of the images to score instead of all. All calls
    share one compiled program.

    Args:
        model: to score with.
        columns: names in `scores.COLUMNS`.
        scoring_config: the `scoring` group of the config. Its batch size is rounded up to a multiple of
            the number of devices, and does not change a score.
        seed: of the `eval` stream.
        devices: that share each batch. Where they are of several processes, each process reads and scores
            a stretch of the images on its own, and all of them make the call and get all scores.
        fits: what `fits.fit_scores` found for the columns; None where none of them asks.
        max_images: images of the largest call, if that is known: batches are no larger, or padding would be
            scored as well.
    """
    functions = {name: COLUMNS[name] for name in columns}
    read_on_host = {name: HOST_FEATURES[name] for name in columns if name in HOST_FEATURES}
    of_all = len(devices)
    devices = [d for d in devices if d.process_index == jax.process_index()]
    together = len(devices) < of_all
    mesh = jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,), devices=devices)
    by_example = NamedSharding(mesh, PartitionSpec("batch"))
    whole = NamedSharding(mesh, PartitionSpec())
    batch_size = min(scoring_config.batch_size, max_images or scoring_config.batch_size)
    batch_size = -(-batch_size // len(devices)) * len(devices)

    @functools.partial(jax.jit, static_argnames="given")
    def score(params, fits, batch, host, seed, given):
        def under(class_index):
            bound = BoundModel(model, params, class_index)
            view = build_view(bound, batch, scoring_config, seed, fits, host)
            found = {name: function(view) for name, function in functions.items()}
            return found, view.terms.negative_elbo

        if not model.num_classes:
            columns, _ = under(None)
        elif given:
            columns, _ = under(batch.class_index)
        else:
            found, losses = jax.lax.map(under, jnp.arange(model.num_classes))
            num_values = model.select_region(to_unit(batch.image))[0].size
            columns = marginalise_classes(found, losses, num_values, fits)
        return {name: values.astype(jnp.float32) for name, values in columns.items()}

    def run(params, images, class_indices=None, description=None, rows=None):
        rows = np.arange(len(images)) if rows is None else rows
        own = (
            rows[processes.find_own_slice(len(rows), scoring_config.batch_size)]
            if together
            else rows
        )
        params, placed_fits = jax.device_put((params, fits or {}), whole)
        columns = {name: np.empty(len(own), np.float32) for name in functions}
        done = 0
        with open_progress_bar(len(own), description, unit="image") as bar:
            for batch in iterate_batches(images, batch_size, class_indices, own):
                count = int(batch.mask.sum())
                host = {name: read(batch.image) for name, read in read_on_host.items()}
                placed = jax.device_put((batch, host), by_example)
                found = score(
                    params, placed_fits, *placed, np.uint32(seed), given=class_indices is not None
                )
                for name, values in jax.device_get(found).items():
                    columns[name][done : done + count] = values[:count]
                done += count
                bar.update(count)
        if together:
            columns = {
                name: processes.gather_slices(values, len(rows), scoring_config.batch_size)
                for name, values in columns.items()
            }
        return {name: values.astype(np.float64) for name, values in columns.items()}

    return run
