"""Scores by how the bound on the likelihood changes with the image.

Where the model would have a pixel otherwise, the gradient is large. It is taken at z = mu, without a
sample, so that a score is not noise; an autoencoder has the reconstruction's part of it.

B batch, H W image, C channels.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.model.objective import Terms, compute_terms
from vae_jax.model.vae import BoundModel
from vae_jax.scoring.view import View


def compute_terms_at_mean(bound: BoundModel, x: Float[Array, "B H W C"]) -> Terms:
    """Returns the terms of the negative ELBO with z = mu in place of a sample."""
    posterior = bound.encode(x)
    return compute_terms(bound.model, x, posterior, bound.decode(posterior.mu))


def elbo_gradient(view: View) -> Float[Array, "B"]:
    """L1 norm of the negative ELBO's gradient by the image, nats. Cost: three passes.

    The sum of its map over pixels, the score per pixel of Zimmerer et al. 2019, "Unsupervised anomaly
    localization using variational auto-encoders".
    """
    return jnp.sum(_elbo_map(view), axis=(1, 2))


def kl_gradient(view: View) -> Float[Array, "B"]:
    """L1 norm of the KL term's gradient by the image, nats. Cost: three encodes.

    Likewise. In that paper the part of the gradient that finds anomalies best.
    """
    return jnp.sum(_kl_map(view), axis=(1, 2))


def gradient_maps(view: View) -> dict[str, Float[Array, "B H W"]]:
    """Returns |gradient| of every pixel for each score of this module that applies, sum over channels."""
    maps = {"elbo_gradient": _elbo_map(view)}
    return maps if view.posterior.logvar is None else maps | {"kl_gradient": _kl_map(view)}


def _elbo_map(view: View) -> Float[Array, "B H W"]:
    # The gradient of a sum over images is that of each image: none touches another's term.
    gradient = jax.grad(lambda x: jnp.sum(compute_terms_at_mean(view.bound, x).negative_elbo))(
        view.x
    )
    return jnp.sum(jnp.abs(view.bound.model.zero_outside_region(gradient)), axis=3)


def _kl_map(view: View) -> Float[Array, "B H W"]:
    gradient = jax.grad(lambda x: jnp.sum(compute_terms_at_mean(view.bound, x).kl))(view.x)
    return jnp.sum(jnp.abs(view.bound.model.zero_outside_region(gradient)), axis=3)
