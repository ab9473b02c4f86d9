"""The training step: one pure function, which jit, pmap and sharded jit compile."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

from vae_jax import noise
from vae_jax.data.augment import draw_binary
from vae_jax.data.batches import Batch, to_unit
from vae_jax.model.branched import compute_model_terms
from vae_jax.training.recipe import Recipe
from vae_jax.training.state import TrainState


@flax.struct.dataclass
class TracedHyperparameters:
    """Hyperparameters that are traced: changing them does not recompile.

    Cells of an ablation that differ only in these therefore share one compiled program.

    Attributes:
        seed: seed of the random streams.
        beta: largest weight of the KL term.
    """

    seed: Any  # uint32 []
    beta: Any  # float32 []


TrainStep = Callable[
    [TrainState, Batch, TracedHyperparameters], tuple[TrainState, dict[str, Array]]
]


def make_train_step(recipe: Recipe, axis_name: str | None = None) -> TrainStep:
    """Returns (state, batch, hyperparameters) -> (next state, metrics).

    The metrics are `loss`, `reconstruction`, `kl` and, if it has a weight, `frequency` (means over the
    images that count, nats per image), `beta`, `learning_rate`, `gradient_norm` (before clipping) and
    `count` (number of images that count).

    Args:
        recipe: how the model is trained.
        axis_name: name of pmap's axis, over whose devices sums are computed; None without pmap.
    """
    model, objective = recipe.model, recipe.objective

    def sum_over_devices(tree):
        return jax.lax.psum(tree, axis_name) if axis_name else tree

    def train_step(state: TrainState, batch: Batch, hyperparameters: TracedHyperparameters):
        beta = hyperparameters.beta * recipe.beta_schedule(state.step)
        count = sum_over_devices(jnp.sum(batch.mask))

        def loss_fn(params, part: Batch):
            inputs, latent_keys = make_inputs(recipe, part, hyperparameters.seed, state.step)
            image_terms = compute_model_terms(model, params, inputs, latent_keys, part.class_index)
            # Each sum is divided by the count of the whole batch, so that gradients that are summed over
            # parts and devices are means.
            loss = jnp.sum(part.mask * objective(image_terms, beta)) / count
            sums = {
                name: jnp.sum(part.mask * getattr(image_terms, name)) / count
                for name in objective.term_names
            }
            return loss, {"loss": loss, **sums}

        compute_gradients = jax.grad(loss_fn, has_aux=True)
        if recipe.accumulate == 1:
            gradients, metrics = compute_gradients(state.params, batch)
        else:
            gradients, metrics = _sum_over_parts(
                compute_gradients, state.params, batch, recipe.accumulate
            )
        gradients, metrics = sum_over_devices((gradients, metrics))
        # Optax mixes its int32 counts with floats, which strict dtype promotion (used in tests) forbids.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = recipe.optimizer.update(gradients, state.opt_state, state.params)
            rate = recipe.learning_rate(state.step) * state.plateau.scale
        updates = optax.tree.scale(state.plateau.scale, updates)
        metrics |= {
            "beta": beta,
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


def make_inputs(
    recipe: Recipe, batch: Batch, seed: Any, step: Any
) -> tuple[dict[str, Array], Key[Array, "B"]]:
    """Returns what each branch explains of the images, and the key of each image for the latent.

    Args:
        recipe: how the model is trained.
        batch: images of the step.
        seed: seed of the random streams.
        step: number of the step.
    """
    latent_keys, augment_keys, binarise_keys = (
        noise.example_keys(noise.stream_key(seed, name), step, batch.index)
        for name in ("latent", "augment", "binarise")
    )
    inputs = recipe.model.split(batch.image)
    if "pixels" in inputs:
        inputs["pixels"] = recipe.augmentation(to_unit(inputs["pixels"]), augment_keys)
        if recipe.is_binary:
            inputs["pixels"] = draw_binary(inputs["pixels"], binarise_keys)
    return inputs, latent_keys


def _sum_over_parts(function: Callable, params: dict, batch: Batch, num_parts: int):
    """Returns the sum of function(params, part) over equal parts of the batch.

    The parts are computed one after the other, so that memory holds the intermediate values of one part
    only.
    """
    parts = jax.tree.map(lambda a: a.reshape(num_parts, -1, *a.shape[1:]), batch)
    first = jax.tree.map(lambda a: a[0], parts)
    zeros = jax.tree.map(
        lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(function, params, first)
    )

    def add(total, part):
        return jax.tree.map(jnp.add, total, function(params, part)), None

    total, _ = jax.lax.scan(add, zeros, parts)
    return total
