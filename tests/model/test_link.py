import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from vae_jax.model.link import log_scale_between, log_sinhc, logit


def test_logit_inverts_the_sigmoid_and_clips_black_and_white():
    x = jnp.float32([0.0, 0.01, 0.5, 0.99, 1.0])
    np.testing.assert_allclose(jax.nn.sigmoid(logit(x)), np.clip(x, 1e-6, 1 - 1e-6), atol=1e-6)
    np.testing.assert_allclose(logit(x[1:4]), special.logit(np.float64(x[1:4])), rtol=1e-5)


def test_scale_is_between_its_limits_and_at_their_geometric_mean_for_zero():
    scale = jnp.exp(log_scale_between(0.01, jnp.float32([-200, 0, 200])))
    np.testing.assert_allclose(scale, [0.01, 0.1, 1.0], rtol=1e-5)


@pytest.mark.parametrize("u", [0.0, 1e-4, 0.29, 0.31, 2.0, 50.0, 300.0])
def test_log_sinhc_and_its_gradient_equal_the_formulas(u):
    value, gradient = jax.value_and_grad(log_sinhc)(jnp.float32(-u))
    if u == 0:
        assert (value, gradient) == (0, 0)
        return
    np.testing.assert_allclose(value, np.log(np.sinh(u) / u), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradient, -(1 / np.tanh(u) - 1 / u), rtol=1e-4, atol=1e-6)
