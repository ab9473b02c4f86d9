import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax.config import default
from vae_jax.model.objective import (
    BETA_SCHEDULES,
    Objective,
    Terms,
    compute_terms,
    magnitude_error,
    make_beta_schedule,
    make_objective,
)
from vae_jax.model.vae import Posterior, build_model, init_params
from vae_jax.validate import BETA_SCHEDULES as NAMES


def compute_shares(name, steps, *, warmup=2.0, cycle=5.0):
    """The schedule's values; one epoch has ten steps."""
    config = default().objective
    config.beta_schedule = name
    config.beta_warmup, config.beta_cycle = warmup, cycle
    schedule = make_beta_schedule(config, steps_per_epoch=10)
    return np.array([float(schedule(jnp.int32(step))) for step in steps])


def test_constant_schedule_is_one():
    np.testing.assert_array_equal(compute_shares("constant", [0, 7, 1000]), 1.0)


def test_linear_schedule_rises_over_the_warmup_and_then_stays():
    shares = compute_shares("linear", [0, 5, 10, 20, 500])
    np.testing.assert_allclose(shares, [0, 0.25, 0.5, 1, 1])


def test_linear_schedule_without_warmup_is_one_from_the_second_step():
    np.testing.assert_allclose(compute_shares("linear", [0, 1, 3], warmup=0.0), [0, 1, 1])


def test_cyclical_schedule_rises_again_in_every_cycle():
    shares = compute_shares("cyclical", [0, 10, 20, 49, 50, 60])
    np.testing.assert_allclose(shares, [0, 0.5, 1, 1, 0, 0.5])


def test_objective_weighs_each_term():
    terms = Terms(reconstruction=3.0, kl=5.0, frequency=7.0)
    assert Objective(0.5, 0.25).distortion(terms) == 0.5 * 3 + 0.25 * 7
    assert Objective(0.5, 0.25)(terms, 2.0) == 0.5 * 3 + 0.25 * 7 + 2 * 5


def test_default_weights_and_beta_one_give_the_negative_elbo():
    terms = Terms(reconstruction=jnp.ones(2), kl=jnp.full(2, 5.0), frequency=jnp.full(2, 7.0))
    loss = make_objective(default().objective)(terms, 1.0)
    np.testing.assert_array_equal(loss, terms.negative_elbo)
    np.testing.assert_array_equal(loss, [6.0, 6.0])


def test_only_terms_with_a_weight_are_recorded():
    assert Objective(1.0, 0.0).term_names == ("reconstruction", "kl")
    assert Objective(1.0, 0.5).term_names == ("reconstruction", "frequency", "kl")


def test_config_names_the_schedules():
    assert set(NAMES) == set(BETA_SCHEDULES)


@pytest.fixture(scope="module")
def forward_pass():
    """A Gaussian model with its inputs and outputs for six images."""
    config = default()
    config.model.likelihood, config.model.sigma = "gaussian", 0.5
    model = build_model(config)
    params = init_params(model, jax.random.key(0))
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(size=(6, 8, 8, 1)), jnp.float32)
    eps = jnp.asarray(rng.standard_normal((6, 16)), jnp.float32)
    posterior, raw = jax.jit(model.apply)({"params": params}, x, eps)
    return model, x, posterior, raw


def test_terms_are_sums_over_the_pixels_and_latent_dimensions_of_each_image(forward_pass):
    model, x, posterior, raw = forward_pass
    terms = compute_terms(model, x, posterior, raw)
    mean = np.asarray(jax.nn.sigmoid(raw), np.float64)
    reconstruction = -stats.norm.logpdf(np.asarray(x), mean, 0.5).sum(axis=(1, 2, 3))
    mu, var = np.asarray(posterior.mu), np.exp(np.asarray(posterior.logvar))
    kl = 0.5 * (mu**2 + var - 1 - np.log(var)).sum(axis=1)
    spectra = [np.abs(np.fft.fft2(a[..., 0])) / 8 for a in (np.asarray(x), mean)]
    frequency = np.square(spectra[0] - spectra[1]).sum(axis=(1, 2))
    np.testing.assert_allclose(terms.reconstruction, reconstruction, rtol=1e-5)
    np.testing.assert_allclose(terms.kl, kl, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(terms.frequency, frequency, rtol=1e-4)
    np.testing.assert_allclose(terms.negative_elbo, reconstruction + kl, rtol=1e-5)


def test_terms_of_an_image_do_not_depend_on_its_batch(forward_pass):
    model, x, posterior, raw = forward_pass
    together = compute_terms(model, x, posterior, raw)
    for i in range(len(x)):
        alone = compute_terms(
            model, *jax.tree.map(lambda array, i=i: array[i : i + 1], (x, posterior, raw))
        )
        for name in ("reconstruction", "kl", "frequency"):
            np.testing.assert_allclose(
                getattr(alone, name)[0], getattr(together, name)[i], rtol=1e-5
            )


def test_an_autoencoder_has_no_kl(forward_pass):
    model, x, posterior, raw = forward_pass
    terms = compute_terms(model, x, Posterior(posterior.mu, None), raw)
    np.testing.assert_array_equal(terms.kl, np.zeros(6))


def draw_images(seed, side=8):
    return jnp.asarray(np.random.default_rng(seed).uniform(size=(3, side, side, 2)), jnp.float32)


def test_magnitude_error_equals_that_of_numpy():
    x, y = np.asarray(draw_images(0), np.float64), np.asarray(draw_images(1), np.float64)
    expected = np.square(
        np.abs(np.fft.fft2(x, axes=(1, 2))) / 8 - np.abs(np.fft.fft2(y, axes=(1, 2))) / 8
    )
    np.testing.assert_allclose(magnitude_error(draw_images(0), draw_images(1)), expected, atol=1e-5)


def test_magnitude_error_of_a_shifted_texture_is_zero():
    x = draw_images(0)
    np.testing.assert_allclose(magnitude_error(x, jnp.roll(x, (2, 3), axis=(1, 2))), 0, atol=1e-9)


def test_sum_of_magnitude_errors_is_at_most_that_of_squared_errors():
    x, y = draw_images(0), draw_images(1)
    squared = jnp.sum(jnp.square(x - y), axis=(1, 2, 3))
    assert np.all(jnp.sum(magnitude_error(x, y), axis=(1, 2, 3)) <= squared)


@pytest.mark.parametrize("times", [2, 4])
def test_mean_magnitude_error_does_not_depend_on_the_image_size(times):
    """A tiled texture has the same energy per pixel, in fewer and higher peaks of its spectrum."""
    x, y = draw_images(0), draw_images(1)
    tiled = [jnp.tile(image, (1, times, times, 1)) for image in (x, y)]
    small, large = (jnp.mean(magnitude_error(*pair), axis=(1, 2, 3)) for pair in ((x, y), tiled))
    np.testing.assert_allclose(small, large, rtol=1e-4)


def test_gradient_of_the_magnitude_error_is_finite_where_the_spectrum_is_zero():
    gradient = jax.grad(lambda y: jnp.sum(magnitude_error(jnp.zeros_like(y), y)))(
        jnp.ones((1, 8, 8, 1))
    )
    assert np.all(np.isfinite(gradient))
