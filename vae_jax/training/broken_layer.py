"""Where a broken step stopped being finite: a second pass over its images, layer by layer.

The pass runs only after a fault. The compiled step is therefore as fast as without it, and its numbers are
the same.

B images of the step.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from vae_jax.data.batches import Batch
from vae_jax.model.branched import BranchedVAE, Model, compute_model_terms
from vae_jax.model.objective import Terms
from vae_jax.training.nonfinite import find_nonfinite, format_path
from vae_jax.training.recipe import Recipe
from vae_jax.training.step import TracedHyperparameters, make_inputs

# Path of a layer, with the name of its branch in a model of several.
_Path = tuple[str, ...]


def find_broken_layer(
    recipe: Recipe,
    params: dict,
    batch: Batch,
    hyperparameters: TracedHyperparameters,
    step: int,
    names: Sequence[str],
) -> str:
    """Returns the first place where the numbers of a step are not finite, in words.

    The order is: parameters, inputs, outputs of the layers from encoder to decoder, terms of the loss,
    gradients from the loss back to the encoder.

    Args:
        recipe: how the model is trained.
        params: parameters before the step.
        batch: images of the step.
        hyperparameters: traced hyperparameters of the run.
        step: number of the step, from which its noise follows.
        names: name of each image of the batch.

    Returns:
        For example "the output of encoder/mu, for 3 of 16 images (the first is good/7.png)"; "" if all
        numbers of this pass are finite.
    """
    path = find_nonfinite(params)
    if path:
        return f"the parameter {path}, before the step"
    rows = np.flatnonzero(batch.mask)  # without padding
    batch = jax.tree.map(lambda array: jnp.asarray(array[rows]), batch)
    params = jax.tree.map(jnp.asarray, params)
    seed = jnp.asarray(hyperparameters.seed)
    inputs, _ = make_inputs(recipe, batch, seed, step)
    for name, values in inputs.items():
        if (broken := _find_rows(values, len(rows))).any():
            return f"the input {name}{_describe_images(broken, names)}"

    def compute_loss(params) -> tuple[Any, Terms]:
        # A key may be used once only, so each pass makes its own.
        inputs, latent_keys = make_inputs(recipe, batch, seed, step)
        terms = compute_model_terms(recipe.model, params, inputs, latent_keys, batch.class_index)
        beta = hyperparameters.beta * recipe.beta_schedule(jnp.asarray(step, jnp.int32))
        return jnp.mean(recipe.objective(terms, beta)), terms

    (loss, terms), layers = record_layers(recipe.model, lambda: compute_loss(params), len(rows))
    for path, broken in layers:
        if broken.any():
            return f"the output of {'/'.join(path)}{_describe_images(broken, names)}"
    for name in recipe.objective.term_names:
        if (broken := _find_rows(getattr(terms, name), len(rows))).any():
            return (
                f"the term {name} itself, while the outputs of all layers are finite"
                f"{_describe_images(broken, names)}"
            )
    if not np.isfinite(loss):
        return "the sum over the images or the terms, each of which is finite"
    gradients = jax.jit(jax.grad(lambda params: compute_loss(params)[0]))(params)
    return _find_gradient(gradients, [path for path, _ in layers])


def record_layers(
    model: Model, compute: Callable[[], Any], num_images: int
) -> tuple[Any, list[tuple[_Path, Bool[np.ndarray, "B"]]]]:
    """Calls a function that applies the model, and looks at what every layer returns.

    Args:
        model: the model.
        compute: () -> result; it applies the branches of the model one after the other, once each.
        num_images: number of images B.

    Returns:
        The result, and in the order of computation the path of each layer and which images are not finite
        in its output.
    """
    branches = iter(model.branches if isinstance(model, BranchedVAE) else ())
    prefix: list[_Path] = [(name,) for name in branches] or [()]
    layers = []

    def record(call, args, kwargs, context):
        output = call(*args, **kwargs)
        if context.method_name == "__call__":
            path = prefix[0] + context.module.path
            if context.module.path:
                layers.append((path, _find_rows(output, num_images)))
            else:  # the whole branch, whose last layer has been recorded
                prefix.pop(0)
        return output

    with nn.intercept_methods(record):
        result = compute()
    return result, layers


def _find_rows(tree: Any, num_images: int) -> Bool[np.ndarray, "B"]:
    """Returns which images have a value that is not finite; all of them for arrays of another length."""
    broken = np.zeros(num_images, bool)
    for leaf in jax.tree.leaves(tree):
        is_broken = ~np.isfinite(np.asarray(leaf, np.float32))
        if is_broken.shape[:1] == (num_images,):
            broken |= is_broken.reshape(num_images, -1).any(axis=1)
        else:
            broken |= is_broken.any()
    return broken


def _describe_images(broken: Bool[np.ndarray, "B"], names: Sequence[str]) -> str:
    rows = np.flatnonzero(broken)
    if len(rows) == len(broken):
        return f", for all {len(broken)} images"
    return f", for {len(rows)} of {len(broken)} images (the first is {names[rows[0]]})"


def _find_gradient(gradients: dict, layers: Sequence[_Path]) -> str:
    """Returns the broken gradient that is computed first: that of the last layer, seen from the input."""
    broken = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(gradients)[0]:
        if not np.isfinite(np.asarray(leaf)).all():
            layer = tuple(key.key for key in path[:-1])
            position = layers.index(layer) if layer in layers else len(layers)
            broken.append((position, format_path(path)))
    return f"the gradient of {max(broken)[1]}" if broken else ""
