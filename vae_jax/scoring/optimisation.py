"""Scores by what an optimisation of the code or of the image can still gain. They cost many passes.

Adam works element by element, so one run over a batch is as many independent runs as it has images.

B batch, H W image, C channels, Z latent, S samples.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from vae_jax.model.objective import terms
from vae_jax.model.vae import Bound, Posterior
from vae_jax.scoring.gradient import mean_terms
from vae_jax.scoring.view import View
from vae_jax.training import noise

_REGRET_STREAM = 1  # folded into the keys of the images
_REGRET_SAMPLES = 4  # and as many mirrored ones


def likelihood_regret(view: View) -> Float[Array, "B"]:
    """How much the ELBO gains when q(z | x) is fitted to the one image, nats, at least 0. Cost: see below.

    Adam on mu and logvar of each image, `scoring.regret_steps` steps from the encoder's output, decoder
    fixed; the best step counts. The same samples eps, with -eps beside each, stand for the expectation at
    every step, so that a gain is not luck of the draw; mirrored, because mu alone would otherwise move
    to where the few samples like it.

    Cost: eight decodes and their gradients a step.
    Source: Xiao, Yan and Amit 2020, "Likelihood regret", equation 5, with the mean and variance of q
    optimised in place of the encoder's weights.
    """
    settings = view.settings
    keys = jax.vmap(lambda key: jax.random.fold_in(key, _REGRET_STREAM))(view.keys)
    eps = noise.normal(keys, _REGRET_SAMPLES * view.bound.model.latent_dim)
    eps = eps.reshape(len(eps), _REGRET_SAMPLES, -1).transpose(1, 0, 2)
    eps = jnp.concatenate([eps, -eps])
    return regret(
        view.bound, view.x, view.posterior, eps, settings.regret_steps, settings.regret_rate
    )


def regret(
    bound: Bound,
    x: Float[Array, "B H W C"],
    posterior: Posterior,
    eps: Float[Array, "S B Z"],
    num_steps: int,
    learning_rate: float,
) -> Float[Array, "B"]:
    """Returns the greatest ELBO on the way less the one at the start, nats, expectations over eps."""
    optimizer = optax.adam(learning_rate)

    def negative_elbo(q):
        def one_sample(noise_of_sample):
            raw = bound.decode(q.sample(noise_of_sample))
            return terms(bound.model, x, q, raw).loss(1.0)

        return jnp.mean(jax.vmap(one_sample)(eps), axis=0)

    def total(q):
        each = negative_elbo(q)
        return jnp.sum(each), each

    def step(carry, _):
        q, state, best = carry
        gradient, each = jax.grad(total, has_aux=True)(q)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(q, updates), state, jnp.minimum(best, each)), None

    start = negative_elbo(posterior)
    carry = posterior, optimizer.init(posterior), start
    (q, _, best), _ = jax.lax.scan(step, carry, length=num_steps)
    return start - jnp.minimum(best, negative_elbo(q))


def restoration(view: View) -> Float[Array, "B"]:
    """How far the image moves towards the model's normal, sum of |x - restored|. Cost: see below.

    Cost: three passes a step, `scoring.restoration_steps` of them.
    Source: Chen, You, Tezcan and Konukoglu 2020, "Unsupervised lesion detection via image restoration
    with a normative prior", equation 5.
    """
    return jnp.sum(jnp.abs(view.x - restore(view)), axis=(1, 2, 3))


def restore(view: View) -> Float[Array, "B H W C"]:
    """Returns y in [0, 1] that lowers -ELBO(y) + `scoring.restoration_tv` * TV(y - x), from y = x.

    The ELBO is taken at z = mu, and the total variation is the sum of absolute differences of neighbours,
    in the rows and in the columns. Steps are Adam's, of about `scoring.restoration_rate` a pixel, because
    the gradient's size differs by orders of magnitude between likelihoods.
    """
    settings, x = view.settings, view.x
    optimizer = optax.adam(settings.restoration_rate)

    def loss(y):
        prior = mean_terms(view.bound, y).loss(1.0)
        return jnp.sum(prior) + settings.restoration_tv * total_variation(y - x)

    def step(carry, _):
        y, state = carry
        updates, state = optimizer.update(jax.grad(loss)(y), state)
        return (jnp.clip(optax.apply_updates(y, updates), 0, 1), state), None

    (y, _), _ = jax.lax.scan(step, (x, optimizer.init(x)), length=settings.restoration_steps)
    return y


def total_variation(images: Float[Array, "B H W C"]) -> Float[Array, ""]:
    """Returns the sum of absolute differences of neighbouring pixels, over all images."""
    down, right = (jnp.sum(jnp.abs(jnp.diff(images, axis=axis))) for axis in (1, 2))
    return down + right
