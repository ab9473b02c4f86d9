import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax.config import default
from vae_jax.model.objective import BETA_SCHEDULES, compute_terms, make_beta_schedule
from vae_jax.model.vae import build_model, init_params
from vae_jax.validate import BETA_SCHEDULES as NAMES


def schedule(name, steps, *, warmup=2.0, cycle=5.0, beta=4.0):
    config = default().objective
    config.beta_schedule = name
    config.beta_warmup, config.beta_cycle = warmup, cycle
    found = make_beta_schedule(config, steps_per_epoch=10)
    return np.array([beta * float(found(jnp.int32(step))) for step in steps])


def test_constant_beta():
    np.testing.assert_array_equal(schedule("constant", [0, 7, 1000]), 4.0)


def test_linear_beta_rises_over_the_warmup_then_stays():
    np.testing.assert_allclose(schedule("linear", [0, 5, 10, 20, 500]), [0, 1, 2, 4, 4])
    np.testing.assert_allclose(schedule("linear", [0, 3], warmup=0.0), [0, 4])


def test_cyclical_beta_rises_again_in_every_cycle():
    np.testing.assert_allclose(schedule("cyclical", [0, 10, 20, 49, 50, 60]), [0, 2, 4, 4, 0, 2])


def test_config_names_the_schedules():
    assert set(NAMES) == set(BETA_SCHEDULES)


def test_terms_are_sums_over_pixels_and_latents_of_each_image():
    config = default()
    config.model.likelihood, config.model.sigma = "gaussian", 0.5
    model = build_model(config)
    params = init_params(model, jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (3, 8, 8, 1))
    eps = jax.random.normal(jax.random.key(2), (3, 16))
    posterior, raw = model.apply({"params": params}, x, eps)
    found = compute_terms(model, x, posterior, raw)
    mean = np.asarray(jax.nn.sigmoid(raw), np.float64)
    reconstruction = -stats.norm.logpdf(np.asarray(x), mean, 0.5).sum(axis=(1, 2, 3))
    mu, var = np.asarray(posterior.mu), np.exp(np.asarray(posterior.logvar))
    kl = 0.5 * (mu**2 + var - 1 - np.log(var)).sum(axis=1)
    np.testing.assert_allclose(found.reconstruction, reconstruction, rtol=1e-5)
    np.testing.assert_allclose(found.kl, kl, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.loss(3.0), reconstruction + 3 * kl, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_terms_of_an_image_do_not_depend_on_its_batch(batch):
    model = build_model(default())
    params = init_params(model, jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (6, 8, 8, 1))
    eps = jax.random.normal(jax.random.key(2), (6, 16))

    def run(x, eps):
        return compute_terms(model, x, *model.apply({"params": params}, x, eps))

    whole = run(x, eps)
    parts = [run(x[i : i + batch], eps[i : i + batch]) for i in range(0, 6, batch)]
    np.testing.assert_allclose(
        whole.reconstruction, np.concatenate([p.reconstruction for p in parts]), rtol=1e-5
    )
