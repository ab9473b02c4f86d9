"""One step of a model small enough to write its gradient by hand: one latent dimension, one pixel."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import noise
from vae_jax.config import default
from vae_jax.data.batches import Batch
from vae_jax.model.distributions import Likelihood
from vae_jax.model.objective import Objective
from vae_jax.model.vae import VAE
from vae_jax.training.optimizer import make_plateau
from vae_jax.training.recipe import Recipe
from vae_jax.training.state import create_state
from vae_jax.training.step import TracedHyperparameters, make_train_step

SIGMA, RATE, BETA = 0.5, 0.01, 3.0


class ScalarEncoder(nn.Module):
    """mu = a x; logvar is a parameter."""

    @nn.compact
    def __call__(self, x, label=None):
        a = self.param("a", nn.initializers.constant(0.7), ())
        logvar = self.param("logvar", nn.initializers.constant(-0.4), ())
        return a * x.reshape(-1, 1), jnp.full((len(x), 1), logvar)


class ScalarDecoder(nn.Module):
    """x_hat = b z."""

    @nn.compact
    def __call__(self, z, label=None):
        b = self.param("b", nn.initializers.constant(1.3), ())
        return b * z.reshape(-1, 1, 1, 1)


class ScalarVAE(VAE):
    """A Gaussian model of one pixel."""

    def setup(self):
        self.encoder = ScalarEncoder()
        self.decoder = ScalarDecoder()

    @property
    def likelihood(self):
        def log_prob(x, raw, sigma):
            return jax.scipy.stats.norm.logpdf(x, raw, sigma)

        return Likelihood(log_prob, lambda raw: raw, lambda x: x, is_density=True)


def make_scalar_recipe(accumulate=1):
    def rate(step):
        return jnp.float32(RATE)

    return Recipe(
        model=ScalarVAE(1, 1, (1,), 1, 0, 1, "relu", "gaussian", SIGMA),
        objective=Objective(1.0, 0.0),
        beta_schedule=lambda step: jnp.minimum(1.0, 0.25 * jnp.float32(step)),
        augmentation=lambda x, keys: x,
        optimizer=optax.sgd(rate),
        learning_rate=rate,
        plateau=make_plateau(default().train),
        accumulate=accumulate,
    )


def make_batch(mask):
    images = np.array([10, 200, 90, 250], np.uint8).reshape(4, 1, 1, 1)
    mask = np.array(mask, np.float32)
    return Batch(images, np.array([5, 2, 9, 11], np.int32), mask, np.zeros(4, np.int32))


@pytest.fixture(scope="module")
def take_step():
    """(batch, accumulate, step, scale) -> the state before, the state after, the metrics."""

    def take_step(batch, accumulate=1, step=2, scale=1.0):
        recipe = make_scalar_recipe(accumulate)
        state = create_state(recipe, 0)
        state = state.replace(
            step=jnp.int32(step), plateau=state.plateau._replace(scale=jnp.float32(scale))
        )
        hyperparameters = TracedHyperparameters(np.uint32(7), np.float32(BETA))
        return state, *jax.jit(make_train_step(recipe))(state, batch, hyperparameters)

    return take_step


def compute_by_hand(batch, step):
    """The terms and the gradient of the loss, in float64, from their formulas."""
    a, logvar, b, beta = 0.7, -0.4, 1.3, BETA * 0.25 * step
    counts = batch.mask == 1
    x = batch.image.reshape(-1)[counts] / 255
    keys = noise.example_keys(noise.stream_key(7, "latent"), step, jnp.asarray(batch.index))
    eps = np.asarray(noise.draw_normal(keys, 1), np.float64)[counts, 0]
    std = np.exp(0.5 * logvar)
    z = a * x + std * eps
    slope = (b * z - x) / SIGMA**2  # of -log p(x | z) with respect to x_hat
    reconstruction = 0.5 * (b * z - x) ** 2 / SIGMA**2 + np.log(SIGMA * np.sqrt(2 * np.pi))
    kl = 0.5 * ((a * x) ** 2 + np.exp(logvar) - 1 - logvar)
    gradient = {
        "a": slope * b * x + beta * a * x**2,
        "logvar": slope * b * 0.5 * std * eps + beta * 0.5 * (np.exp(logvar) - 1),
        "b": slope * z,
    }
    means = {name: values.mean() for name, values in gradient.items()}
    return {"reconstruction": reconstruction.mean(), "kl": kl.mean(), "beta": beta}, means


def get_params(state):
    return {**state.params["encoder"], **state.params["decoder"]}


@pytest.mark.parametrize("mask", [(1, 1, 1, 1), (1, 0, 1, 0)])
def test_a_step_follows_the_gradient_that_is_derived_by_hand(take_step, mask):
    batch = make_batch(mask)
    before, after, metrics = take_step(batch)
    terms, gradient = compute_by_hand(batch, step=2)
    for name, slope in gradient.items():
        change = get_params(after)[name] - get_params(before)[name]
        np.testing.assert_allclose(change, -RATE * slope, rtol=1e-4, err_msg=name)
    for name, value in terms.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
    loss = terms["reconstruction"] + terms["beta"] * terms["kl"]
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    norm = np.sqrt(sum(slope**2 for slope in gradient.values()))
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-5)
    assert float(metrics["count"]) == sum(mask)
    assert float(metrics["learning_rate"]) == pytest.approx(RATE)
    assert int(after.step) == 3


def test_masked_images_do_not_change_a_step(take_step):
    batch = make_batch((1, 0, 1, 0))
    other = batch.replace(image=np.where(batch.mask.reshape(4, 1, 1, 1) == 1, batch.image, 77))
    _, after, metrics = take_step(batch)
    _, other_after, other_metrics = take_step(other)
    jax.tree.map(np.testing.assert_array_equal, after.params, other_after.params)
    jax.tree.map(np.testing.assert_array_equal, metrics, other_metrics)


def test_a_batch_in_parts_gives_the_same_step(take_step):
    batch = make_batch((1, 0, 1, 1))
    _, after, metrics = take_step(batch)
    _, after_parts, metrics_of_parts = take_step(batch, accumulate=2)
    for a, b in zip(
        jax.tree.leaves((after.params, metrics)),
        jax.tree.leaves((after_parts.params, metrics_of_parts)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_the_plateau_scheduler_scales_the_update_and_the_reported_rate(take_step):
    batch = make_batch((1, 1, 1, 1))
    before, after, _ = take_step(batch)
    _, scaled, metrics = take_step(batch, scale=0.5)
    for name, start in get_params(before).items():
        full, half = (get_params(state)[name] - start for state in (after, scaled))
        np.testing.assert_allclose(half, 0.5 * full, rtol=1e-4)
    assert float(metrics["learning_rate"]) == pytest.approx(0.5 * RATE)
