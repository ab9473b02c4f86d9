"""One pure training step: the same function under jit, pmap and sharded jit."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt8

from vae_jax.data.augment import Augmentation
from vae_jax.model.objective import Distortion, terms
from vae_jax.model.vae import VAE
from vae_jax.training import noise
from vae_jax.training.state import TrainState


@flax.struct.dataclass
class Batch:
    """Images of one step; a ragged last batch is padded, and the mask says what counts.

    Attributes:
        image: as stored.
        index: place of each image in its role; its noise follows from it.
        mask: 1 where the image counts, 0 where it pads.
        condition: class of the image, for a conditional model that is given it; else 0.
    """

    image: Any  # uint8 [B, H, W, C]
    index: Any  # int32 [B]
    mask: Any  # float32 [B]
    condition: Any  # int32 [B]


@flax.struct.dataclass
class Knobs:
    """What of a config may change without another compilation, as between the cells of an ablation."""

    seed: Any  # uint32 [], of the random streams
    beta: Any  # float32 [], weight of the KL term at its height


TrainStep = Callable[[TrainState, Batch, Knobs], tuple[TrainState, dict[str, Array]]]


def to_unit(image: UInt8[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """Returns x in [0, 1], float32."""
    return image.astype(jnp.float32) / 255.0


def make_train_step(
    model: VAE,
    optimizer: optax.GradientTransformation,
    learning_rate: optax.Schedule,
    beta: optax.Schedule,
    distortion: Distortion,
    augmentation: Augmentation,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> TrainStep:
    """Returns (state, batch, knobs) -> (next state, metrics).

    Args:
        model: gives the loss of each image.
        optimizer: the optax chain; its learning rate is already inside.
        learning_rate: the same schedule, for the record.
        beta: step -> share of `knobs.beta`.
        distortion: what beta * kl is added to.
        augmentation: changes the images, keyed by example.
        accumulate: parts that the batch is computed in, one after the other; it divides the batch.
        axis_name: of pmap's axis; sums then run over all devices. None elsewhere.

    The metrics are means over the images that count: `loss`, `reconstruction`, `kl` (nats per image),
    `frequency` where it has a weight, `beta`, `learning_rate`, `gradient_norm` (before the clip) and
    `count` (images).
    """
    recorded = (*distortion.names, "kl")

    def over_devices(tree):
        return jax.lax.psum(tree, axis_name) if axis_name else tree

    def train_step(state: TrainState, batch: Batch, knobs: Knobs):
        weight = knobs.beta * beta(state.step)
        count = over_devices(jnp.sum(batch.mask))

        def loss_fn(params, part: Batch):
            streams = (noise.stream(knobs.seed, name) for name in ("latent", "augment"))
            latent_keys, augment_keys = (
                noise.example_keys(root, state.step, part.index) for root in streams
            )
            x = model.cover(augmentation(to_unit(part.image), augment_keys))
            eps = noise.normal(latent_keys, model.latent_dim)
            label = None
            if model.num_classes:
                label = jax.nn.one_hot(part.condition, model.num_classes, dtype=jnp.float32)
            posterior, raw = model.apply({"params": params}, x, eps, label)
            each = terms(model, x, posterior, raw)
            # Divided by the global count here, so that gradients summed over parts and devices are means.
            loss = jnp.sum(part.mask * (distortion(each) + weight * each.kl)) / count
            sums = {name: jnp.sum(part.mask * getattr(each, name)) / count for name in recorded}
            return loss, {"loss": loss, **sums}

        gradient = jax.grad(loss_fn, has_aux=True)
        if accumulate == 1:
            gradients, metrics = gradient(state.params, batch)
        else:
            gradients, metrics = _sum_over_parts(gradient, state.params, batch, accumulate)
        gradients, metrics = over_devices((gradients, metrics))
        # Optax mixes its int32 counts with floats, which strict promotion (in tests) refuses.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
            rate = learning_rate(state.step) * state.plateau.scale
        updates = optax.tree.scale(state.plateau.scale, updates)
        metrics |= {
            "beta": weight,
            "learning_rate": rate,
            "gradient_norm": optax.tree.norm(gradients),
            "count": count,
        }
        state = state.replace(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
        )
        return state, metrics

    return train_step


def _sum_over_parts(function: Callable, params: dict, batch: Batch, num_parts: int):
    """Returns the sum of function(params, part) over equal parts of the batch, one in memory at a time."""
    parts = jax.tree.map(lambda a: a.reshape(num_parts, -1, *a.shape[1:]), batch)
    first = jax.tree.map(lambda a: a[0], parts)
    zeros = jax.tree.map(
        lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(function, params, first)
    )

    def add(total, part):
        return jax.tree.map(jnp.add, total, function(params, part)), None

    total, _ = jax.lax.scan(add, zeros, parts)
    return total
