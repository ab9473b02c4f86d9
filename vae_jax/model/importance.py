"""The likelihood of an image under the model, by importance sampling.

B batch, H W image, C channels, Z latent.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from vae_jax.model import noise
from vae_jax.model.vae import BoundModel, Posterior


def log_likelihood(
    bound: BoundModel,
    x: Float[Array, "B H W C"],
    posterior: Posterior,
    keys: Key[Array, "B"],
    num_samples: int,
) -> Float[Array, "B"]:
    """Returns log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x) with z_k ~ q(z | x), nats.

    A lower bound on log p(x) in expectation, the ELBO at K = 1, which never falls as K grows. One
    sample at a time, so that memory does not grow with K.
    Source: Burda et al. 2016, "Importance weighted autoencoders", equation 8 and theorem 1.

    Args:
        bound: the model.
        x: images.
        posterior: q(z | x).
        keys: one an image.
        num_samples: K.
    """
    latent_dim = posterior.mu.shape[1]

    def add(total, k):
        at_k = jax.vmap(lambda key: jax.random.fold_in(key, k))(keys)
        eps = noise.draw_normal(at_k, latent_dim)
        z = posterior.sample(eps)
        log_ratio = 0.5 * (
            jnp.square(eps) - jnp.square(z) + posterior.logvar
        )  # of p(z) to q(z | x)
        log_prob = jnp.sum(bound.model.log_prob(x, bound.decode(z)), axis=(1, 2, 3))
        return jnp.logaddexp(total, log_prob + jnp.sum(log_ratio, axis=1)), None

    total, _ = jax.lax.scan(add, jnp.full(len(x), -jnp.inf), jnp.arange(num_samples))
    return total - jnp.log(jnp.float32(num_samples))
