import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from vae_jax.model.distributions import LIKELIHOODS, kl_to_standard_normal

DENSITIES = [name for name, likelihood in LIKELIHOODS.items() if likelihood.is_density]


def sigmoid(raw):
    return 1 / (1 + np.exp(-np.asarray(raw, np.float64)))


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, (3, 4, 4, 2)).astype(np.float32)
    raw = rng.normal(0, 2, (3, 4, 4, 2)).astype(np.float32)
    return x, raw


def draw_raw(name, rng, shape):
    """Raw output for images of this shape."""
    channels = shape[-1] * LIKELIHOODS[name].parameters_per_channel
    return jnp.asarray(rng.normal(0, 2, (*shape[:-1], channels)), jnp.float32)


def one_pixel(name, xs, raw, sigma=0.2):
    """Log-probability of many values of one pixel, as many images of it."""
    x = jnp.asarray(xs, jnp.float32).reshape(-1, 1, 1, 1)
    raw = jnp.broadcast_to(
        jnp.asarray(raw, jnp.float32).reshape(1, 1, 1, -1), (len(x), 1, 1, len(raw))
    )
    return np.asarray(LIKELIHOODS[name].log_prob(x, raw, sigma), np.float64).reshape(-1)


def test_kl_equals_a_monte_carlo_estimate():
    rng = np.random.default_rng(0)
    mu, logvar = np.float32([[0.3, -1.2]]), np.float32([[-0.7, 0.4]])
    sigma = np.exp(0.5 * logvar)
    z = mu + sigma * rng.standard_normal((400_000, 2))
    estimate = (stats.norm.logpdf(z, mu, sigma) - stats.norm.logpdf(z)).mean(axis=0)
    kl = kl_to_standard_normal(jnp.asarray(mu), jnp.asarray(logvar))[0]
    np.testing.assert_allclose(kl, estimate, atol=0.01)


def test_kl_is_zero_only_for_the_prior():
    zero = jnp.zeros((1, 3))
    np.testing.assert_array_equal(kl_to_standard_normal(zero, zero), zero)
    assert (kl_to_standard_normal(zero + 0.1, zero) > 0).all()


def test_bernoulli_equals_that_of_scipy(pixels):
    _, raw = pixels
    x = np.float32(np.random.default_rng(1).integers(0, 2, raw.shape))
    log_prob = LIKELIHOODS["bernoulli"].log_prob(x, jnp.asarray(raw), 1.0)
    np.testing.assert_allclose(
        log_prob, stats.bernoulli.logpmf(x, sigmoid(raw)), rtol=1e-4, atol=1e-5
    )


def test_gaussian_equals_that_of_scipy(pixels):
    x, raw = pixels
    log_prob = LIKELIHOODS["gaussian"].log_prob(x, jnp.asarray(raw), 0.3)
    np.testing.assert_allclose(
        log_prob, stats.norm.logpdf(x, sigmoid(raw), 0.3), rtol=1e-4, atol=1e-5
    )


def test_laplace_equals_that_of_scipy_with_standard_deviation_sigma(pixels):
    x, raw = pixels
    log_prob = LIKELIHOODS["laplace"].log_prob(x, jnp.asarray(raw), 0.3)
    expected = stats.laplace(sigmoid(raw), 0.3 / np.sqrt(2))
    np.testing.assert_allclose(log_prob, expected.logpdf(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(expected.std(), 0.3)


def test_gaussian_learned_equals_that_of_scipy(pixels):
    x, mean = pixels
    scale = np.random.default_rng(1).normal(0, 2, x.shape).astype(np.float32)
    raw = np.concatenate([mean, scale], axis=3)
    log_prob = LIKELIHOODS["gaussian_learned"].log_prob(x, jnp.asarray(raw), 1.0)
    sigma = (1 / 256) ** sigmoid(-scale)
    np.testing.assert_allclose(log_prob, stats.norm.logpdf(x, sigmoid(mean), sigma), rtol=1e-3)


def test_normal_equals_that_of_scipy_and_its_mean_is_not_bounded(pixels):
    x, log_sigma = pixels
    x, mean = 30 * (x - 0.5), np.float32(3 * np.random.default_rng(1).normal(0, 2, x.shape))
    raw = jnp.concatenate([mean, log_sigma], axis=3)
    expected = stats.norm.logpdf(x, mean, np.exp(log_sigma))
    likelihood = LIKELIHOODS["normal"]
    np.testing.assert_allclose(likelihood.log_prob(x, raw, 0.1), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(likelihood.mean(raw), mean)


@pytest.mark.parametrize(("log_sigma", "clipped"), [(-100.0, -7.0), (100.0, 7.0)])
def test_sigma_of_normal_is_clipped(log_sigma, clipped):
    log_prob = one_pixel("normal", [0.1, 2.0], [0.1, log_sigma])
    np.testing.assert_allclose(
        log_prob, stats.norm.logpdf([0.1, 2.0], 0.1, np.exp(clipped)), rtol=1e-4
    )


def test_gaussian_optimal_is_the_likeliest_gaussian_of_each_image(pixels):
    x, raw = pixels
    log_prob = (
        LIKELIHOODS["gaussian_optimal"].log_prob(x, jnp.asarray(raw), 1.0).sum(axis=(1, 2, 3))
    )
    for i in range(len(x)):
        _, deviation = stats.norm.fit(x[i] - sigmoid(raw[i]), floc=0)
        best = stats.norm.logpdf(x[i], sigmoid(raw[i]), deviation).sum()
        assert log_prob[i] == pytest.approx(best, rel=1e-4)


def test_gaussian_optimal_is_bounded_where_the_reconstruction_is_exact():
    raw = jnp.zeros((1, 2, 2, 1))
    log_prob = LIKELIHOODS["gaussian_optimal"].log_prob(jnp.full((1, 2, 2, 1), 0.5), raw, 1.0)
    np.testing.assert_allclose(log_prob, stats.norm.logpdf(0, 0, 1 / 256), rtol=1e-5)


@pytest.mark.parametrize("raw", [-300.0, -20.0, -0.7, -0.59, -1e-3, 0.0, 1e-3, 0.61, 3.0, 300.0])
def test_continuous_bernoulli_equals_that_of_scipy(raw):
    """Exp(rate) cut off at 1 is the same family; the mean is that of the density itself."""
    log_prob = one_pixel("continuous_bernoulli", xs := np.linspace(0, 1, 11), [raw])
    rate = abs(raw)
    expected = stats.truncexpon(b=rate, scale=1 / rate) if rate else stats.uniform()
    towards_zero = xs if raw <= 0 else 1 - xs
    np.testing.assert_allclose(log_prob, expected.logpdf(towards_zero), rtol=1e-4, atol=1e-5)
    mean = float(LIKELIHOODS["continuous_bernoulli"].mean(jnp.full((1, 1, 1, 1), raw))[0, 0, 0, 0])
    assert mean == pytest.approx(expected.mean() if raw <= 0 else 1 - expected.mean(), abs=1e-5)


def test_continuous_bernoulli_has_the_right_gradient_around_one_half():
    """d log p / d raw = x - mean(raw), as of every natural parameter."""
    likelihood = LIKELIHOODS["continuous_bernoulli"]
    raw = jnp.float32([-1.0, -0.61, -0.6, -1e-4, 0.0, 1e-4, 0.6, 0.61, 1.0]).reshape(-1, 1, 1, 1)
    x = jnp.full_like(raw, 0.8)
    gradient = jax.grad(lambda raw: likelihood.log_prob(x, raw, 1.0).sum())(raw)
    np.testing.assert_allclose(gradient, x - likelihood.mean(raw), atol=3e-6)
    second = jax.grad(lambda raw: likelihood.mean(raw).sum())(raw)
    assert float(second[4, 0, 0, 0]) == pytest.approx(1 / 12, abs=1e-6)


@pytest.mark.parametrize("name", [n for n in DENSITIES if n not in ("gaussian_optimal", "normal")])
def test_density_integrates_to_one_and_its_mean_is_the_reconstruction(name):
    rng = np.random.default_rng(3)
    for _ in range(4):
        raw = np.asarray(draw_raw(name, rng, (1,)))
        ends = (0, 1) if name == "continuous_bernoulli" else (-20, 21)
        xs = np.linspace(*ends, 400_001)
        p = np.exp(one_pixel(name, xs, raw))
        assert integrate.trapezoid(p, xs) == pytest.approx(1, abs=1e-3)
        mean = LIKELIHOODS[name].mean(jnp.asarray(raw).reshape(1, 1, 1, -1))[0, 0, 0, 0]
        assert integrate.trapezoid(p * xs, xs) == pytest.approx(float(mean), abs=1e-3)


@pytest.mark.parametrize("scale", [-50.0, -3.0, 0.0, 3.0, 50.0])
@pytest.mark.parametrize("location", [-50.0, -4.0, 0.3, 4.0])
def test_discretised_logistic_sums_to_one_with_the_reconstruction_as_mean(location, scale):
    levels = np.arange(256) / 255
    p = np.exp(one_pixel("discretised_logistic", levels, [location, scale]))
    assert p.sum() == pytest.approx(1, abs=1e-4)
    raw = jnp.float32([location, scale]).reshape(1, 1, 1, 2)
    mean = float(LIKELIHOODS["discretised_logistic"].mean(raw)[0, 0, 0, 0])
    assert p @ levels == pytest.approx(mean, abs=0.5 / 255)


def test_discretised_logistic_equals_that_of_scipy():
    levels = np.arange(256) / 255
    log_prob = one_pixel("discretised_logistic", levels, [0.4, 1.0])
    logistic = stats.logistic(sigmoid(0.4), (1 / 2048) ** sigmoid(-1.0))
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    # Above the location the upper tail is used, because a difference of the lower tail would lose digits.
    expected = np.where(
        levels < sigmoid(0.4), np.diff(logistic.cdf(edges)), -np.diff(logistic.sf(edges))
    )
    np.testing.assert_allclose(log_prob, np.log(expected), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_mean_and_gradient_are_finite_for_extreme_outputs(name):
    likelihood = LIKELIHOODS[name]
    far = jnp.float32([-200.0, 0.0, 200.0])
    grid = jnp.stack(jnp.meshgrid(*[far] * likelihood.parameters_per_channel), axis=-1)
    raw = grid.reshape(1, -1, 1, likelihood.parameters_per_channel)
    for x in (0.0, 0.5, 1.0):
        image = jnp.full((*raw.shape[:3], 1), x)

        def total(raw, image=image):
            return likelihood.log_prob(image, raw, 0.1).sum() + likelihood.mean(raw).sum()

        value, gradient = jax.value_and_grad(total)(raw)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
    mean = likelihood.mean(raw)
    if not likelihood.is_unbounded:
        assert (mean >= 0).all()
        assert (mean <= 1).all()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_no_output_is_likelier_than_the_likeliest(name):
    likelihood = LIKELIHOODS[name]
    rng = np.random.default_rng(0)
    # Black and white pixels have no likeliest continuous Bernoulli: their density grows without bound.
    levels = rng.integers(1 if name == "continuous_bernoulli" else 0, 255, (2, 3, 3, 2)) / 255
    x = jnp.asarray(levels, jnp.float32)
    best = likelihood.log_prob(x, likelihood.likeliest_raw(x), 0.1).sum()
    for size in (0.01, 0.3, 3.0):
        for _ in range(5):
            near = jnp.asarray(rng.normal(0, size, likelihood.likeliest_raw(x).shape), jnp.float32)
            assert (
                likelihood.log_prob(x, likelihood.likeliest_raw(x) + near, 0.1).sum() <= best + 1e-2
            )
            elsewhere = size * draw_raw(name, rng, x.shape)
            assert likelihood.log_prob(x, elsewhere, 0.1).sum() <= best + 1e-2


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_log_prob_of_an_image_does_not_depend_on_its_batch(name):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(0, 1, (3, 4, 4, 2)), jnp.float32)
    raw = draw_raw(name, rng, x.shape)
    together = LIKELIHOODS[name].log_prob(x, raw, 0.1)
    alone = LIKELIHOODS[name].log_prob(x[1:2], raw[1:2], 0.1)
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-6)
