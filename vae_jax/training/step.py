"""One pure training step: the same function under jit, pmap and sharded jit."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt8

from vae_jax.data.augment import Augmentation
from vae_jax.model.objective import terms
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
    """

    image: Any  # uint8 [B, H, W, C]
    index: Any  # int32 [B]
    mask: Any  # float32 [B]


TrainStep = Callable[[TrainState, Batch], tuple[TrainState, dict[str, Array]]]


def to_unit(image: UInt8[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """Returns x in [0, 1], float32."""
    return image.astype(jnp.float32) / 255.0


def make_train_step(
    model: VAE,
    optimizer: optax.GradientTransformation,
    learning_rate: optax.Schedule,
    beta: optax.Schedule,
    augmentation: Augmentation,
    seed: int,
    axis_name: str | None = None,
) -> TrainStep:
    """Returns (state, batch) -> (next state, metrics).

    Args:
        model: gives the loss of each image.
        optimizer: the optax chain; its learning rate is already inside.
        learning_rate: the same schedule, for the record.
        beta: step -> weight of the KL term.
        augmentation: changes the images, keyed by example.
        seed: of the random streams.
        axis_name: of pmap's axis; sums then run over all devices. None elsewhere.

    The metrics are means over the images that count: `loss`, `reconstruction`, `kl` (nats per image),
    `beta`, `learning_rate`, `gradient_norm` (before the clip) and `count` (images).
    """

    def over_devices(tree):
        return jax.lax.psum(tree, axis_name) if axis_name else tree

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, Array]]:
        latent_keys = noise.example_keys(noise.stream(seed, "latent"), state.step, batch.index)
        augment_keys = noise.example_keys(noise.stream(seed, "augment"), state.step, batch.index)
        x = augmentation(to_unit(batch.image), augment_keys)
        eps = noise.normal(latent_keys, model.latent_dim)
        weight = beta(state.step)
        count = over_devices(jnp.sum(batch.mask))

        def loss_fn(params):
            posterior, raw = model.apply({"params": params}, x, eps)
            each = terms(model, x, posterior, raw)
            # Divided by the global count here, so that summing gradients over devices is the mean.
            loss = jnp.sum(batch.mask * each.loss(weight)) / count
            sums = {
                "loss": loss,
                "reconstruction": jnp.sum(batch.mask * each.reconstruction) / count,
                "kl": jnp.sum(batch.mask * each.kl) / count,
            }
            return loss, sums

        gradients, metrics = jax.grad(loss_fn, has_aux=True)(state.params)
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
