"""Conditional models: the class that an image is looked at under.

The classes are those of the training normals, all equally likely beforehand. With
`scoring.condition = "given"` each image is looked at under its own class; with `"marginal"` under each
class in turn, and what was seen is weighed by how likely the class is.

B batch, H W image, C channels, K classes.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.vae import VAE, BoundModel
from vae_jax.scoring.gradient import terms_at_mean

# These grow with a bound on -log p(x | class), in nats or in bits a value, less what is of the image alone:
# of these the mixture over classes is known, not only a mean.
_IN_NATS = ("elbo", "nll", "corrected_nll")
_IN_BITS_PER_VALUE = ("bits_per_dim", "input_complexity")


def bind_most_likely_class(model: VAE, params: dict, x: Float[Array, "B H W C"]) -> BoundModel:
    """Returns the model under each image's most likely class; as it is where it is not conditional.

    For pictures and codes, of which there is to be one an image. The bound is taken at z = mu.
    """
    if not model.num_classes:
        return BoundModel(model, params)

    def loss(class_index):
        return terms_at_mean(BoundModel(model, params, class_index), x).negative_elbo

    losses = jax.lax.map(loss, jnp.arange(model.num_classes))
    return BoundModel(model, params, jnp.argmin(losses, axis=0))


def marginalise_classes(
    columns: Mapping[str, Float[Array, "K B"]],
    loss: Float[Array, "K B"],
    num_values: int,
    fits: Mapping[str, Any],
) -> dict[str, Float[Array, "B"]]:
    """Returns each column with the class summed out.

    Args:
        columns: name of a score -> its values under each class.
        loss: the negative ELBO under each class, nats.
        num_values: of an image that count.
        fits: name of a score -> what was fitted for it on training normals.

    Returns:
        -log of the mean over classes of exp(-value) for bounds on -log p(x | class), and `typicality` of
        that; for all others the mean under p(class | x), which is proportional to exp(-loss).
    """
    posterior = jax.nn.softmax(-loss, axis=0)

    def mixture(nats: Float[Array, "K B"]) -> Float[Array, "B"]:
        return jnp.log(jnp.float32(len(nats))) - jax.nn.logsumexp(-nats, axis=0)

    def summed_out(name: str, values: Float[Array, "K B"]) -> Float[Array, "B"]:
        if name in _IN_NATS:
            return mixture(values)
        if name in _IN_BITS_PER_VALUE:
            scale = num_values * math.log(2)
            return mixture(scale * values) / scale
        if name == "typicality":
            return jnp.abs(mixture(loss) - fits[name])
        return jnp.sum(posterior * values, axis=0)

    return {name: summed_out(name, values) for name, values in columns.items()}
