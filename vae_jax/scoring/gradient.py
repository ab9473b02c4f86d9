"""Scores from the gradient of the ELBO with respect to the image.

The gradient is large at pixels that the model expects to be different. It is computed at z = mu, without a
sample, so the score contains no noise. An autoencoder has only the gradient of the reconstruction term.

B batch, H W image, C channels.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.objective import Terms, compute_terms
from vae_jax.model.vae import BoundModel
from vae_jax.scoring.view import View


def compute_terms_at_mean(bound: BoundModel, x: Float[Array, "B H W C"]) -> Terms:
    """Computes the terms of the negative ELBO with z = mu instead of a sample."""
    posterior = bound.encode(x)
    return compute_terms(bound.model, x, posterior, bound.decode(posterior.mu))


def elbo_gradient(view: View) -> Float[Array, "B"]:
    """L1 norm of the gradient of the negative ELBO with respect to the image, nats. Cost: three passes.

    It is the sum over pixels of the score per pixel of Zimmerer et al. 2019.
    Source: Zimmerer et al. 2019, "Unsupervised anomaly localization using variational auto-encoders".
    """
    return jnp.sum(_compute_elbo_map(view), axis=(1, 2))


def kl_gradient(view: View) -> Float[Array, "B"]:
    """L1 norm of the gradient of the KL term with respect to the image, nats. Cost: three encodes.

    In the paper, this part of the gradient detects anomalies best.
    Source: Zimmerer et al. 2019, "Unsupervised anomaly localization using variational auto-encoders".
    """
    return jnp.sum(_compute_kl_map(view), axis=(1, 2))


def compute_gradient_maps(view: View) -> dict[str, Float[Array, "B H W"]]:
    """Computes |gradient| of every pixel, summed over channels, for each score of this module.

    An autoencoder has no KL term, so it has the map `elbo_gradient` only.
    """
    maps = {"elbo_gradient": _compute_elbo_map(view)}
    if view.posterior.logvar is None:
        return maps
    return maps | {"kl_gradient": _compute_kl_map(view)}


def _compute_elbo_map(view: View) -> Float[Array, "B H W"]:
    # The gradient of the sum is the gradient of each image, because no term depends on two images.
    gradient = jax.grad(lambda x: jnp.sum(compute_terms_at_mean(view.bound, x).negative_elbo))(
        view.x
    )
    return jnp.sum(jnp.abs(view.bound.model.zero_outside_region(gradient)), axis=3)


def _compute_kl_map(view: View) -> Float[Array, "B H W"]:
    gradient = jax.grad(lambda x: jnp.sum(compute_terms_at_mean(view.bound, x).kl))(view.x)
    return jnp.sum(jnp.abs(view.bound.model.zero_outside_region(gradient)), axis=3)
