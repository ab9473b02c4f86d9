"""Images in, one row an image out: the pass that training, evaluation and notebooks share.

N images, B the batch.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import UInt8

from vae_jax.model.objective import terms
from vae_jax.model.vae import VAE, Bound
from vae_jax.progress import progress
from vae_jax.scoring.batches import batches
from vae_jax.scoring.scores import COLUMNS, View
from vae_jax.training import noise
from vae_jax.training.step import Batch, to_unit

Scorer = Callable[[dict, UInt8[np.ndarray, "N H W C"]], dict[str, np.ndarray]]


def view_batch(bound: Bound, batch: Batch, seed: int, noise_std: float) -> View:
    """Looks at a batch; what is drawn for an image follows from its index in the role alone."""
    x = to_unit(batch.image)
    keys = noise.example_keys(noise.stream(seed, "eval"), 0, batch.index)
    latent_keys, pixel_keys, score_keys = (
        jax.vmap(lambda key, use=use: jax.random.fold_in(key, use))(keys) for use in range(3)
    )
    posterior = bound.encode(x)
    z = posterior.sample(noise.normal(latent_keys, bound.model.latent_dim))
    pixel_noise = noise.normal(pixel_keys, x[0].size).reshape(x.shape)
    return View(
        x=x,
        x_hat=bound.model.likelihood.mean(bound.decode(posterior.mu)),
        posterior=posterior,
        terms=terms(bound.model, x, posterior, bound.decode(z)),
        x_hat_noisy=bound.reconstruct(x + noise_std * pixel_noise),
        bound=bound,
        keys=score_keys,
    )


def make_scorer(
    model: VAE,
    columns: Sequence[str],
    batch_size: int,
    seed: int,
    noise_std: float,
    devices: Sequence[jax.Device],
    description: str | None = None,
) -> Scorer:
    """Returns (params, images) -> one float64 array [N] a column.

    Args:
        model: to score with.
        columns: names in `scores.COLUMNS`.
        batch_size: images a step over all devices; rounded up to a multiple of their number. It
            does not change a score.
        seed: of the `eval` stream.
        noise_std: of the noise behind `noisy_mse`.
        devices: that share each batch.
        description: of the progress bar; None for no bar.
    """
    functions = {name: COLUMNS[name] for name in columns}
    mesh = jax.make_mesh((len(devices),), ("batch",), axis_types=(AxisType.Auto,), devices=devices)
    by_example = NamedSharding(mesh, PartitionSpec("batch"))
    whole = NamedSharding(mesh, PartitionSpec())
    batch_size = -(-batch_size // len(devices)) * len(devices)

    @jax.jit
    def score(params, batch):
        view = view_batch(Bound(model, params), batch, seed, noise_std)
        return {name: function(view).astype(jnp.float32) for name, function in functions.items()}

    def run(params, images):
        params = jax.device_put(params, whole)
        found = {name: np.empty(len(images), np.float64) for name in functions}
        with progress(len(images), description, unit="image") as bar:
            for batch in batches(images, batch_size):
                real = batch.mask > 0
                columns = jax.device_get(score(params, jax.device_put(batch, by_example)))
                for name, values in columns.items():
                    found[name][batch.index[real]] = values[real]
                bar.update(int(real.sum()))
        return found

    return run
