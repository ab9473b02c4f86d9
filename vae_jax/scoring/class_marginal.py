"""Scores of a conditional model when the class of an image is not given.

The classes are those of the training normals, and all of them have the same prior probability. With
`scoring.condition = "given"` each image is scored under its own class. With `"marginal"` each image is
scored under every class, and the class is summed out by its probability given the image.

B batch, H W image, C channels, K classes.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.vae import VAE, BoundModel
from vae_jax.scoring.gradient import compute_terms_at_mean

# These scores are an upper bound on -log p(x | class) plus a term that does not depend on the class. So the
# score of the mixture of all classes follows exactly; for all other scores only a mean is possible.
_IN_NATS = ("elbo", "nll", "corrected_nll")
_IN_BITS_PER_VALUE = ("bits_per_dim", "input_complexity")


def bind_most_likely_class(model: VAE, params: dict, x: Float[Array, "B H W C"]) -> BoundModel:
    """Binds each image to the class under which its negative ELBO at z = mu is smallest.

    It is used for reconstructions and codes, of which there must be one per image.

    Returns:
        The model with its parameters and these classes; without classes if the model is not conditional.
    """
    if not model.num_classes:
        return BoundModel(model, params)

    def compute_loss(class_index):
        return compute_terms_at_mean(BoundModel(model, params, class_index), x).negative_elbo

    losses = jax.lax.map(compute_loss, jnp.arange(model.num_classes))
    return BoundModel(model, params, jnp.argmin(losses, axis=0))


def marginalise_classes(
    columns: Mapping[str, Float[Array, "K B"]],
    losses: Float[Array, "K B"],
    num_values: int,
    fits: Mapping[str, Any],
) -> dict[str, Float[Array, "B"]]:
    """Sums the class out of each column.

    Args:
        columns: name of a column -> its values under each class.
        losses: negative ELBO under each class, nats.
        num_values: number of values of an image that count.
        fits: name of a score -> its fit on training normals.

    Returns:
        For a score that bounds -log p(x | class): -log of the mean over classes of exp(-score). For
        `typicality`: the distance of that bound from its mean over training normals. For every other
        column: the mean under p(class | x), which is proportional to exp(-loss).
    """
    class_probabilities = jax.nn.softmax(-losses, axis=0)

    def mixture(nats: Float[Array, "K B"]) -> Float[Array, "B"]:
        return jnp.log(jnp.float32(len(nats))) - jax.nn.logsumexp(-nats, axis=0)

    def sum_out(name: str, values: Float[Array, "K B"]) -> Float[Array, "B"]:
        if name in _IN_NATS:
            return mixture(values)
        if name in _IN_BITS_PER_VALUE:
            scale = num_values * math.log(2)
            return mixture(scale * values) / scale
        if name == "typicality":
            return jnp.abs(mixture(losses) - fits[name])
        return jnp.sum(class_probabilities * values, axis=0)

    return {name: sum_out(name, values) for name, values in columns.items()}
