import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model.encoder import Encoder


def draw_params(encoder, *inputs):
    """Random parameters with the shapes of the encoder's, without a compilation."""
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.float32(0.3 * rng.standard_normal(s.shape)), shapes)


def draw_images(side=8):
    return jnp.float32(np.random.default_rng(1).uniform(size=(3, side, side, 1)))


def test_heads_are_affine_functions_of_the_same_features():
    """Without hidden layer and with a linear activation the whole encoder is affine in x."""
    encoder = Encoder((4, 8), 4, 0, 5, activation=lambda h: h)
    x = draw_images()
    params = draw_params(encoder, x)
    middle = encoder.apply(params, 0.5 * (x[:1] + x[1:2]))
    ends = encoder.apply(params, x[:2])
    for at_middle, at_ends in zip(middle, ends, strict=True):
        assert at_middle.shape == (1, 5)
        np.testing.assert_allclose(at_middle[0], at_ends.mean(axis=0), atol=1e-4)
    assert not np.allclose(middle[0], middle[1], atol=1e-3)


def test_an_autoencoder_has_no_logvar():
    encoder = Encoder((4,), 4, 0, 5, nn.relu, sampled=False)
    x = draw_images()
    mu, logvar = encoder.apply(draw_params(encoder, x), x)
    assert mu.shape == (3, 5)
    assert logvar is None


@pytest.mark.parametrize("hidden_dim", [0, 6])
def test_a_label_changes_the_posterior(hidden_dim):
    encoder = Encoder((4,), 4, hidden_dim, 5, nn.tanh)
    x, labels = draw_images(), jnp.eye(3, dtype=jnp.float32)
    params = draw_params(encoder, x, labels)
    mu, _ = encoder.apply(params, jnp.concatenate([x[:1]] * 3), labels)
    assert not np.allclose(mu[0], mu[1], atol=1e-3)
    assert not np.allclose(mu[1], mu[2], atol=1e-3)
