import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.model.distributions import LIKELIHOODS
from vae_jax.model.vae import ACTIVATIONS, build_model, count_params, init_params
from vae_jax.validate import LIKELIHOODS as CONFIG_LIKELIHOODS


def kvasir_config():
    config = default()
    config.data.image_size = 96
    config.data.channels = 3
    config.model.widths = (32, 64, 128, 256)
    config.model.latent_dim = 128
    return config


def test_kvasir_model_has_exactly_the_published_number_of_parameters():
    model = build_model(kvasir_config())
    params = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
    assert count_params(params) == 4_928_451


def test_autoencoder_lacks_the_logvar_head_alone():
    config = kvasir_config()
    shapes = {}
    for kind in ("vae", "ae"):
        config.model.kind = kind
        model = build_model(config)
        shapes[kind] = jax.eval_shape(lambda m=model: init_params(m, jax.random.key(0)))
    assert count_params(shapes["vae"]) - count_params(shapes["ae"]) == 9216 * 128 + 128
    del shapes["vae"]["encoder"]["logvar"]
    assert jax.tree.structure(shapes["vae"]) == jax.tree.structure(shapes["ae"])


@pytest.mark.parametrize(
    ("size", "channels", "widths", "hidden"),
    [(8, 1, (4, 8), 0), (28, 1, (4, 8), 16), (96, 3, (2, 4, 4, 4), 0), (40, 3, (4, 4, 4), 0)],
)
def test_shapes(size, channels, widths, hidden):
    config = default()
    config.data.image_size, config.data.channels = size, channels
    config.model.widths, config.model.hidden_dim, config.model.latent_dim = widths, hidden, 5
    model = build_model(config)
    params = init_params(model, jax.random.key(0))
    x, eps = jnp.zeros((3, size, size, channels)), jnp.zeros((3, 5))
    posterior, raw = model.apply({"params": params}, x, eps)
    assert posterior.mu.shape == posterior.logvar.shape == (3, 5)
    assert raw.shape == x.shape
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(params))


def test_bfloat16_keeps_float32_parameters_and_outputs_close():
    config = default()
    outputs = []
    x = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))
    for precision in ("float32", "bfloat16"):
        config.train.precision = precision
        model = build_model(config)
        params = init_params(model, jax.random.key(0))
        posterior, raw = model.apply({"params": params}, x, jnp.zeros((4, 16)))
        assert {leaf.dtype for leaf in jax.tree.leaves((params, posterior, raw))} == {
            jnp.dtype("float32")
        }
        outputs.append(np.asarray(raw))
    np.testing.assert_allclose(outputs[0], outputs[1], atol=0.05)


def test_an_autoencoder_ignores_noise():
    config = default()
    config.model.kind = "ae"
    model = build_model(config)
    params = init_params(model, jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (2, 8, 8, 1))
    raws = [
        model.apply({"params": params}, x, eps)[1]
        for eps in (jnp.zeros((2, 16)), jnp.ones((2, 16)))
    ]
    np.testing.assert_array_equal(*raws)


def test_config_names_what_the_model_knows():
    from vae_jax import validate

    assert set(CONFIG_LIKELIHOODS) == set(LIKELIHOODS)
    assert set(validate.ACTIVATIONS) == set(ACTIVATIONS)
