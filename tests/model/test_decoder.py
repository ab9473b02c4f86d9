import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model.decoder import Decoder


def draw_params(decoder, *inputs):
    """Random parameters with the shapes of the decoder's, without a compilation."""
    shapes = jax.eval_shape(decoder.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: jnp.float32(0.3 * rng.standard_normal(s.shape)), shapes)


@pytest.mark.parametrize(("image_size", "widths"), [(8, (4, 8)), (24, (2, 4, 4)), (6, (3,))])
def test_the_output_has_the_size_of_the_image(image_size, widths):
    decoder = Decoder(image_size, 2, widths, 4, 0, nn.relu)
    z = jnp.zeros((3, 5))
    shapes = jax.eval_shape(lambda: decoder.init_with_output(jax.random.key(0), z)[0])
    assert shapes.shape == (3, image_size, image_size, 2)


def test_no_activation_follows_the_last_layer():
    """With an activation that puts out zeros, only the bias of the last layer remains."""
    decoder = Decoder(8, 2, (4, 8), 4, 0, activation=jnp.zeros_like)
    z = jnp.ones((3, 5))
    params = draw_params(decoder, z)
    bias = params["params"]["conv_1"]["bias"]
    raw = decoder.apply(params, z)
    np.testing.assert_allclose(raw, np.broadcast_to(bias, (3, 8, 8, 2)), atol=1e-6)


@pytest.mark.parametrize("hidden_dim", [0, 6])
def test_a_label_changes_the_output(hidden_dim):
    decoder = Decoder(8, 1, (4,), 4, hidden_dim, nn.tanh)
    z, labels = jnp.ones((2, 5)), jnp.eye(2, dtype=jnp.float32)
    raw = decoder.apply(draw_params(decoder, z, labels), z, labels)
    assert not np.allclose(raw[0], raw[1], atol=1e-3)
