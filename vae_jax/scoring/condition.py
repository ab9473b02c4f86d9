"""Conditional models: the class that an image is looked at under.

The classes are those of the training normals, all equally likely beforehand. With
`scoring.condition = "given"` each image is looked at under its own class; with `"marginal"` under each
class in turn, and what was seen is weighed by how likely the class is.

B batch, H W image, C channels, K classes.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.vae import VAE, Bound
from vae_jax.scoring.gradient import mean_terms

# Bounds on -log p(x | class), nats: of these the mixture over classes is known, not only a mean.
_EVIDENCE = ("elbo", "nll", "corrected_nll")


def bind(model: VAE, params: dict, x: Float[Array, "B H W C"]) -> Bound:
    """Returns the model under each image's most likely class; as it is where it is not conditional.

    For pictures and codes, of which there is to be one an image. The bound is taken at z = mu.
    """
    if not model.num_classes:
        return Bound(model, params)

    def loss(condition):
        return mean_terms(Bound(model, params, condition), x).loss(1.0)

    losses = jax.lax.map(loss, jnp.arange(model.num_classes))
    return Bound(model, params, jnp.argmin(losses, axis=0))


def marginalise(
    columns: Mapping[str, Float[Array, "K B"]], loss: Float[Array, "K B"]
) -> dict[str, Float[Array, "B"]]:
    """Returns each column with the class summed out.

    Args:
        columns: name of a score -> its values under each class.
        loss: the negative ELBO under each class, nats.

    Returns:
        -log of the mean over classes of exp(-value) for bounds on -log p(x | class); for all others the
        mean under p(class | x), which is proportional to exp(-loss).
    """
    posterior = jax.nn.softmax(-loss, axis=0)
    return {
        name: jnp.log(jnp.float32(len(values))) - jax.nn.logsumexp(-values, axis=0)
        if name in _EVIDENCE
        else jnp.sum(posterior * values, axis=0)
        for name, values in columns.items()
    }
