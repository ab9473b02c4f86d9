import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model.vae import VAE, BoundModel, Posterior, build_model, init_params
from vae_jax.scoring import optimisation

pytestmark = pytest.mark.usefixtures("quick_compilation")

SIGMA = 0.3


class LinearGaussian(VAE):
    """log p(x | z) = log N(x; raw, SIGMA^2)."""

    def log_prob(self, x, raw):
        return -0.5 * jnp.square((x - raw) / SIGMA) - np.log(SIGMA) - 0.5 * np.log(2 * np.pi)


class LinearBound(BoundModel):
    """raw = W z, so that the best q is known; q(z | x) = N(0, 0.01) whatever the image is."""

    def encode(self, x):
        mu = jnp.zeros((len(x), 3))
        return Posterior(mu, jnp.full_like(mu, np.log(0.01)))

    def decode(self, z):
        return (z @ self.params["rows"]).reshape(-1, 4, 4, 1)


@pytest.fixture
def linear(config):
    """The columns of W are orthogonal."""
    fields = {name: getattr(build_model(config), name) for name in VAE.__dataclass_fields__}
    model = LinearGaussian(**{k: v for k, v in fields.items() if k not in ("parent", "name")})
    rows = np.linalg.qr(np.random.default_rng(0).normal(size=(16, 3)))[0].T * 1.5
    return LinearBound(model, {"rows": jnp.asarray(rows, jnp.float32)})


@pytest.fixture
def small(config):
    """An untrained VAE, images, and posteriors far from the best."""
    model = build_model(config)
    bound = BoundModel(model, init_params(model, jax.random.key(0)))
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(5, 8, 8, 1)), jnp.float32)
    mu = jnp.asarray(np.random.default_rng(1).normal(0, 2, (5, 2)), jnp.float32)
    return bound, x, Posterior(mu, jnp.ones((5, 2)))


def exact_regret(bound, x):
    """Of q = N(0, 0.01): the expected ELBO is a quadratic in mu and convex in the variances."""
    rows = np.asarray(bound.params["rows"], np.float64)
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    precision = 1 + np.square(rows).sum(axis=1) / SIGMA**2
    mu = x @ rows.T / SIGMA**2 / precision

    def negative_elbo(mu, variance):
        error = np.square(x - mu @ rows).sum(axis=1) + np.square(rows).sum(axis=1) @ variance
        kl = 0.5 * (np.square(mu) + variance - 1 - np.log(variance)).sum(axis=1)
        return error / (2 * SIGMA**2) + kl

    return negative_elbo(np.zeros_like(mu), np.full(3, 0.01)) - negative_elbo(mu, 1 / precision)


def test_regret_of_a_linear_model_has_its_closed_form(linear):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 4, 1)), jnp.float32)
    keys = jax.random.split(jax.random.key(1), 6)
    # Many keys per image, because the ELBO is measured on few samples before and after.
    compute = jax.jit(jax.vmap(lambda keys: optimisation.compute_regret(
        linear, x, linear.encode(x), keys, 300, 0.1
    )))  # fmt: skip
    many = jax.vmap(lambda key: jax.random.split(key, 40))(keys).T
    regrets = compute(many).mean(axis=0)
    np.testing.assert_allclose(regrets, exact_regret(linear, x), rtol=0.03)


def test_regret_of_the_best_posterior_is_almost_zero(linear):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4, 4, 1)), jnp.float32)
    rows = linear.params["rows"]
    precision = 1 + jnp.sum(jnp.square(rows), axis=1) / SIGMA**2
    mu = x.reshape(6, -1) @ rows.T / SIGMA**2 / precision[None]
    best = Posterior(mu, jnp.tile(-jnp.log(precision), (6, 1)))
    keys = jax.random.split(jax.random.key(1), 6)
    regrets = jax.jit(lambda: optimisation.compute_regret(linear, x, best, keys, 100, 0.05))()
    assert (regrets >= 0).all()
    assert (regrets < 0.1).all()


def test_regret_of_an_image_does_not_depend_on_its_batch(small):
    bound, x, posterior = small
    keys = jax.random.split(jax.random.key(1), len(x))
    regret = jax.jit(lambda x, q, keys: optimisation.compute_regret(bound, x, q, keys, 60, 0.05))
    alone = [
        regret(x[i : i + 1], jax.tree.map(lambda a, i=i: a[i : i + 1], posterior), keys[i : i + 1])
        for i in range(len(x))
    ]
    regrets = regret(x, posterior, keys)
    assert (regrets > 0.1).all()
    np.testing.assert_allclose(regrets, np.concatenate(alone), rtol=1e-4)


def test_regret_grows_with_the_number_of_steps(small):
    bound, x, posterior = small
    keys = jax.random.split(jax.random.key(1), len(x))
    after_5, after_100 = (
        jax.jit(lambda n=n: optimisation.compute_regret(bound, x, posterior, keys, n, 0.05))()
        for n in (5, 100)
    )
    assert (after_100 > after_5).all()


def test_total_variation_agrees_with_differences_of_numpy():
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    expected = np.abs(np.diff(images, axis=1)).sum() + np.abs(np.diff(images, axis=2)).sum()
    np.testing.assert_allclose(
        optimisation.total_variation(jnp.asarray(images)), expected, rtol=2e-3
    )


def test_restoration_without_total_variation_ends_at_the_reconstruction(linear, config, make_view):
    """The model says N(0, SIGMA^2) whatever the image is, so its normal is the black image."""
    config.scoring.restoration_tv, config.scoring.restoration_steps = 0.0, 200
    x = jnp.asarray(np.random.default_rng(0).uniform(0.2, 0.8, (3, 4, 4, 1)), jnp.float32)
    view = make_view(3, x=x, x_hat=x, x_hat_noisy=x, bound=linear)
    np.testing.assert_allclose(jax.jit(lambda: optimisation.restore_images(view))(), 0, atol=0.01)
    np.testing.assert_allclose(
        jax.jit(lambda: optimisation.restoration(view))(), x.sum(axis=(1, 2, 3)), rtol=0.01
    )


def test_restoration_changes_whole_regions_if_total_variation_has_a_large_weight(
    linear, config, make_view
):
    config.scoring.restoration_steps = 60
    x = jnp.asarray(np.random.default_rng(0).uniform(0.4, 0.8, (3, 4, 4, 1)), jnp.float32)
    view = make_view(3, x=x, x_hat=x, x_hat_noisy=x, bound=linear)
    rough = []
    for weight in (0.0, 30.0):
        config.scoring.restoration_tv = weight
        change = jax.jit(lambda: optimisation.restore_images(view))() - x
        rough.append(float(optimisation.total_variation(change)))
    assert rough[1] < 0.5 * rough[0]


def test_restored_images_stay_in_the_unit_interval(small, config, make_view):
    bound, x, posterior = small
    config.scoring.restoration_tv, config.scoring.restoration_rate = 0.0, 0.1
    view = make_view(5, x=x, bound=bound, posterior=posterior)
    restored = jax.jit(lambda: optimisation.restore_images(view))()
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert (jnp.abs(restored - x).max(axis=(1, 2, 3)) > 0.05).all()
