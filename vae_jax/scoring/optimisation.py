"""Scores by what an optimisation of the code or of the image can still gain. They cost many passes.

Adam works element by element, so one run over a batch is as many independent runs as it has images.

B batch, H W image, C channels, Z latent.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from vae_jax.model import noise
from vae_jax.model.objective import compute_terms
from vae_jax.model.vae import BoundModel, Posterior
from vae_jax.scoring.gradient import compute_terms_at_mean
from vae_jax.scoring.view import View

_FLAT = 1e-3  # difference of neighbours that counts as none, in units of [0, 1] images
_REGRET_STREAM = 1  # folded into the keys of the images
_MEASURED_SAMPLES = 16  # and as many mirrored ones


def likelihood_regret(view: View) -> Float[Array, "B"]:
    """How much the ELBO gains when q(z | x) is fitted to the one image, nats, at least 0. Cost: see below.

    `regret` with `scoring.regret_steps` steps of Adam that begin at `scoring.regret_rate`. Cost: two
    decodes with gradient a step, and 64 decodes.
    Source: Xiao, Yan and Amit 2020, "Likelihood regret", equation 5, with the mean and variance of q
    optimised in place of the encoder's weights.
    """
    scoring_config = view.scoring_config
    keys = jax.vmap(lambda key: jax.random.fold_in(key, _REGRET_STREAM))(view.keys)
    return regret(
        view.bound,
        view.x,
        view.posterior,
        keys,
        scoring_config.regret_steps,
        scoring_config.regret_rate,
    )


def regret(
    bound: BoundModel,
    x: Float[Array, "B H W C"],
    posterior: Posterior,
    keys: Key[Array, "B"],
    num_steps: int,
    learning_rate: float,
) -> Float[Array, "B"]:
    """Returns the ELBO after an optimisation of mu and logvar less the one before, nats, at least 0.

    Every step draws anew: a q that is fitted to a few fixed samples gains on these and loses on all
    others. Before and after are measured on the same samples, which no step has seen. A sample comes with
    its mirror image -eps, so that what is linear in eps cancels. The learning rate falls to 0 as a cosine.

    Args:
        bound: the decoder's model and parameters, which stay.
        x: the images.
        posterior: q(z | x) to begin with; it is kept where the optimisation does not better it.
        keys: one an image, of all it draws.
        num_steps: of Adam.
        learning_rate: of the first step, in units of mu and logvar.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, num_steps))

    def draw(use: Int[Array, ""] | int, count: int):
        used = jax.vmap(lambda key: jax.random.fold_in(key, use))(keys)
        eps = noise.draw_normal(used, count * posterior.mu.shape[1])
        eps = eps.reshape(len(eps), count, -1).transpose(1, 0, 2)
        return jnp.concatenate([eps, -eps])  # [2 count, B, Z]

    def negative_elbo(q: Posterior, eps):
        def one_sample(eps):
            return compute_terms(bound.model, x, q, bound.decode(q.sample(eps))).negative_elbo

        return jnp.mean(jax.vmap(one_sample)(eps), axis=0)

    def step(carry, use):
        q, state = carry
        eps = draw(use, 1)
        gradient = jax.grad(lambda q: jnp.sum(negative_elbo(q, eps)))(q)
        return _update(optimizer, gradient, q, state), None

    start = posterior, optimizer.init(posterior)
    (fitted, _), _ = jax.lax.scan(step, start, jnp.arange(num_steps))
    eps = draw(num_steps, _MEASURED_SAMPLES)
    return jnp.maximum(0, negative_elbo(posterior, eps) - negative_elbo(fitted, eps))


def restoration(view: View) -> Float[Array, "B"]:
    """How far the image moves towards the model's normal, sum of |x - restored|. Cost: see below.

    Cost: three passes a step, `scoring.restoration_steps` of them.
    Source: Chen, You, Tezcan and Konukoglu 2020, "Unsupervised lesion detection via image restoration
    with a normative prior", equation 5.
    """
    return jnp.sum(jnp.abs(view.bound.model.select_region(view.x - restore(view))), axis=(1, 2, 3))


def restore(view: View) -> Float[Array, "B H W C"]:
    """Returns y in [0, 1] that lowers -ELBO(y) + `scoring.restoration_tv` * TV(y - x), from y = x.

    The ELBO is taken at z = mu, and the total variation is the sum of absolute differences of neighbours,
    in the rows and in the columns. Steps are Adam's, of about `scoring.restoration_rate` a pixel, because
    the gradient's size differs by orders of magnitude between likelihoods.
    """
    scoring_config, x = view.scoring_config, view.x
    optimizer = optax.adam(scoring_config.restoration_rate)

    def loss(y):
        prior = compute_terms_at_mean(view.bound, y).negative_elbo
        return jnp.sum(prior) + scoring_config.restoration_tv * total_variation(y - x)

    def step(carry, _):
        y, state = carry
        y, state = _update(optimizer, jax.grad(loss)(y), y, state)
        # What lies outside the region of interest stays black, as the model has always seen it.
        return (view.bound.model.zero_outside_region(jnp.clip(y, 0, 1)), state), None

    (y, _), _ = jax.lax.scan(step, (x, optimizer.init(x)), length=scoring_config.restoration_steps)
    return y


def total_variation(images: Float[Array, "B H W C"]) -> Float[Array, ""]:
    """Returns the sum of absolute differences of neighbouring pixels, over all images.

    Rounded off below `_FLAT`: where neighbours moved alike, the sign of their difference is that of a
    rounding error, and the restored image would depend on the size of its batch.
    """
    down, right = (jnp.diff(images, axis=axis) for axis in (1, 2))
    return sum(jnp.sum(jnp.sqrt(jnp.square(d) + _FLAT**2) - _FLAT) for d in (down, right))


def _update(optimizer: optax.GradientTransformation, gradient, variables, state):
    """Returns variables and state of the optimizer one step on."""
    # Optax mixes its int32 counts with floats, which strict promotion (in tests) refuses.
    with jax.numpy_dtype_promotion("standard"):
        updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(variables, updates), state
