import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model.vae import BoundModel, build_model, init_params
from vae_jax.scoring import gradient

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def view(config, make_view):
    """Three images and an untrained model with a smooth activation."""
    config.model.widths, config.model.activation = (2,), "tanh"
    model = build_model(config)
    bound = BoundModel(model, init_params(model, jax.random.key(1)))
    x = jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, (3, 8, 8, 1)), jnp.float32)
    return make_view(3, x=x, bound=bound, posterior=bound.encode(x))


def numeric_gradient(function, x, step=2e-2):
    """Central differences of every pixel of every image."""
    pixels = x[0].size
    shifts = step * jnp.eye(pixels).reshape(pixels, 1, *x.shape[1:])
    both = jax.jit(jax.vmap(lambda shift: function(x + shift) - function(x - shift)))
    return (np.asarray(both(shifts)) / (2 * step)).T.reshape(x.shape)


@pytest.mark.parametrize("name", ["elbo_gradient", "kl_gradient"])
def test_map_is_the_absolute_value_of_numeric_derivatives(name, view):
    def function(x):
        terms = gradient.compute_terms_at_mean(view.bound, x)
        return terms.kl if name == "kl_gradient" else terms.reconstruction + terms.kl

    expected = np.abs(numeric_gradient(function, view.x)).sum(axis=3)
    gradient_map = jax.jit(lambda: gradient.compute_gradient_maps(view)[name])()
    np.testing.assert_allclose(gradient_map, expected, atol=0.01 * expected.max())


@pytest.mark.parametrize("name", ["elbo_gradient", "kl_gradient"])
def test_score_is_the_sum_of_its_map(name, view):
    maps, scores = jax.jit(
        lambda: (gradient.compute_gradient_maps(view), getattr(gradient, name)(view))
    )()
    expected = maps[name].sum(axis=(1, 2))
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    assert (expected > 0).all()


def test_an_autoencoder_has_only_the_gradient_of_the_reconstruction_term(config, make_view):
    config.model.kind = "ae"
    model = build_model(config)
    bound = BoundModel(model, init_params(model, jax.random.key(0)))
    x = jnp.full((2, 8, 8, 1), 0.5)
    view = make_view(2, x=x, bound=bound, posterior=bound.encode(x))
    maps = jax.jit(lambda: gradient.compute_gradient_maps(view))()
    assert list(maps) == ["elbo_gradient"]
    assert np.isfinite(maps["elbo_gradient"]).all()
