"""Scores that optimise the posterior or the image, and measure how much is gained. They cost many passes.

Adam treats every element separately, so the optimisation of a batch is independent for each image.

B batch, H W image, C channels, Z latent.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from vae_jax import noise
from vae_jax.model.objective import compute_terms
from vae_jax.model.vae import BoundModel, Posterior
from vae_jax.scoring.gradient import compute_terms_at_mean
from vae_jax.scoring.view import View

# Differences of neighbouring pixels below this count as zero, in units of [0, 1] images.
_MIN_DIFFERENCE = 1e-3
_NUM_MEASURED = (
    16  # samples before and after the optimisation; their mirror images are used as well
)


def likelihood_regret(view: View) -> Float[Array, "B"]:
    """Gain of the ELBO when q(z | x) is optimised for this image alone, nats, at least 0. Cost: see below.

    It is `compute_regret` with `scoring.regret_steps` steps of Adam that start at the learning rate
    `scoring.regret_rate`. Cost: two decodes with gradient per step, and 64 decodes.
    Source: Xiao, Yan and Amit 2020, "Likelihood regret", equation 5, but the mean and the variance of q are
    optimised instead of the encoder's weights.
    """
    scoring_config = view.scoring_config
    keys = noise.fold_into_each(view.keys, noise.REGRET_DRAW)
    return compute_regret(
        view.bound,
        view.x,
        view.posterior,
        keys,
        scoring_config.regret_steps,
        scoring_config.regret_rate,
    )


def compute_regret(
    bound: BoundModel,
    x: Float[Array, "B H W C"],
    posterior: Posterior,
    keys: Key[Array, "B"],
    num_steps: int,
    learning_rate: float,
) -> Float[Array, "B"]:
    """Computes the ELBO after an optimisation of mu and logvar minus the ELBO before, nats, at least 0.

    Every step uses new samples, because a q that is fitted to a few fixed samples improves on these and
    gets worse on all others. The ELBO before and after is measured on the same samples, which no step has
    used. Every sample eps is used together with -eps, so that terms that are linear in eps cancel. The
    learning rate falls to 0 as a cosine.

    Args:
        bound: model with its parameters; they do not change.
        x: images.
        posterior: q(z | x) at the start. If the optimisation does not improve it, the result is 0.
        keys: one key per image, for all its samples.
        num_steps: number of steps of Adam.
        learning_rate: learning rate of the first step, in units of mu and logvar.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, num_steps))

    def draw_samples(stream: Int[Array, ""] | int, count: int):
        stream_keys = noise.fold_into_each(keys, stream)
        eps = noise.draw_normal(stream_keys, count * posterior.mu.shape[1])
        eps = eps.reshape(len(eps), count, -1).transpose(1, 0, 2)
        return jnp.concatenate([eps, -eps])  # [2 count, B, Z]

    def compute_negative_elbo(q: Posterior, eps):
        def compute_for_sample(eps):
            return compute_terms(bound.model, x, q, bound.decode(q.sample(eps))).negative_elbo

        return jnp.mean(jax.vmap(compute_for_sample)(eps), axis=0)

    def step(carry, stream):
        q, state = carry
        eps = draw_samples(stream, 1)
        gradient = jax.grad(lambda q: jnp.sum(compute_negative_elbo(q, eps)))(q)
        return _apply_gradient(optimizer, gradient, q, state), None

    start = posterior, optimizer.init(posterior)
    (optimised, _), _ = jax.lax.scan(step, start, jnp.arange(num_steps))
    eps = draw_samples(num_steps, _NUM_MEASURED)
    gain = compute_negative_elbo(posterior, eps) - compute_negative_elbo(optimised, eps)
    return jnp.maximum(0, gain)


def restoration(view: View) -> Float[Array, "B"]:
    """Change of the image when it is optimised to be normal, sum of |x - restored|. Cost: see below.

    Cost: three passes per step, for `scoring.restoration_steps` steps.
    Source: Chen, You, Tezcan and Konukoglu 2020, "Unsupervised lesion detection via image restoration
    with a normative prior", equation 5.
    """
    change = view.bound.model.select_region(view.x - restore_images(view))
    return jnp.sum(jnp.abs(change), axis=(1, 2, 3))


def restore_images(view: View) -> Float[Array, "B H W C"]:
    """Minimises -ELBO(y) + `scoring.restoration_tv` * TV(y - x) over images y in [0, 1], from y = x.

    The ELBO is computed at z = mu. TV is the total variation. The optimiser is Adam, whose steps change a
    pixel by about `scoring.restoration_rate`; the size of the gradient itself differs by orders of
    magnitude between likelihoods.
    """
    scoring_config, x = view.scoring_config, view.x
    optimizer = optax.adam(scoring_config.restoration_rate)

    def compute_loss(y):
        negative_elbo = compute_terms_at_mean(view.bound, y).negative_elbo
        return jnp.sum(negative_elbo) + scoring_config.restoration_tv * total_variation(y - x)

    def step(carry, _):
        y, state = carry
        y, state = _apply_gradient(optimizer, jax.grad(compute_loss)(y), y, state)
        # Pixels outside the region of interest stay black, as in training.
        return (view.bound.model.zero_outside_region(jnp.clip(y, 0, 1)), state), None

    (y, _), _ = jax.lax.scan(step, (x, optimizer.init(x)), length=scoring_config.restoration_steps)
    return y


def total_variation(images: Float[Array, "B H W C"]) -> Float[Array, ""]:
    """Returns the sum of absolute differences of neighbouring pixels in rows and columns, over all images.

    The absolute value is smooth below `_MIN_DIFFERENCE`. Otherwise the gradient would be the sign of a
    rounding error where two neighbours change by the same amount, and the restored image would depend on
    the size of its batch.
    """
    down, right = (jnp.diff(images, axis=axis) for axis in (1, 2))
    return sum(
        jnp.sum(jnp.sqrt(jnp.square(d) + _MIN_DIFFERENCE**2) - _MIN_DIFFERENCE)
        for d in (down, right)
    )


def _apply_gradient(optimizer: optax.GradientTransformation, gradient, variables, state):
    """Returns the variables and the state of the optimizer after one step."""
    # Optax mixes int32 counts with floats, which strict promotion in tests would refuse.
    with jax.numpy_dtype_promotion("standard"):
        updates, state = optimizer.update(gradient, state)
    return optax.apply_updates(variables, updates), state
