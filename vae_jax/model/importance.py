"""The likelihood of an image under the model, estimated by importance sampling.

Shapes: B batch, H W image, C channels, Z latent dimensions.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vae_jax import noise
from vae_jax.model.vae import BoundModel, Posterior


def log_likelihood(
    bound: BoundModel,
    x: Float[Array, "B H W C"],
    posterior: Posterior,
    keys: Key[Array, "B"],
    num_samples: int,
) -> Float[Array, "B"]:
    """Returns log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x) with z_k ~ q(z | x), nats.

    The expectation of the result is a lower bound on log p(x). It equals the ELBO for K = 1 and never falls
    as K grows. Samples are drawn one at a time, so that memory does not grow with K.

    Source: Burda et al. 2016, "Importance weighted autoencoders", equation 8 and theorem 1.

    Args:
        bound: the model with its parameters.
        x: images.
        posterior: q(z | x) of the images.
        keys: one PRNG key per image.
        num_samples: number of samples K per image.
    """
    latent_dim = posterior.mu.shape[1]

    def add(total, k):
        eps = noise.draw_normal(noise.fold_into_each(keys, k), latent_dim)
        z = posterior.sample(eps)
        # log p(z) - log q(z | x) of each latent dimension
        log_ratio = 0.5 * (jnp.square(eps) - jnp.square(z) + posterior.logvar)
        log_prob = jnp.sum(bound.model.log_prob(x, bound.decode(z)), axis=(1, 2, 3))
        return jnp.logaddexp(total, log_prob + jnp.sum(log_ratio, axis=1)), None

    total, _ = jax.lax.scan(add, jnp.full(len(x), -jnp.inf), jnp.arange(num_samples))
    return total - jnp.log(jnp.float32(num_samples))
