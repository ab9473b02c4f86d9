import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.model import kernel_gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sum_by_hand(x, y, size, stride, low):
    """K[j] = sum_p x[s p + j - low] y[p]^T, term by term in float64."""
    pixels = np.pad(np.float64(x), ((0, 0), (low, 9), (low, 9), (0, 0)))
    kernel = np.zeros((size, size, x.shape[3], y.shape[3]))
    for i, j in np.ndindex(size, size):
        for p, q in np.ndindex(y.shape[1:3]):
            patch = pixels[:, stride * p + i, stride * q + j]
            kernel[i, j] += patch.T @ np.float64(y[:, p, q])
    return kernel


@pytest.mark.parametrize(("size", "stride", "low"), [(4, 2, 1), (3, 2, 0), (3, 1, 1), (5, 3, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 1e-5)])
def test_kernel_gradient_equals_the_sum_over_positions(size, stride, low, dtype, tolerance):
    x = jnp.asarray(draw(3, 8, 7, 2), dtype)
    y = jnp.asarray(draw(3, -(-8 // stride), -(-7 // stride), 4, seed=1), dtype)
    compute = jax.jit(kernel_gradient.compute_kernel_gradient, static_argnums=(2, 3, 4))
    actual = compute(x, y, size, stride, (low, low))
    expected = sum_by_hand(np.asarray(x, np.float32), np.asarray(y, np.float32), size, stride, low)
    assert actual.dtype == jnp.float32
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_kernel_gradient_does_not_depend_on_the_images_per_step(dtype, monkeypatch):
    x, y = jnp.asarray(draw(6, 8, 8, 2), dtype), jnp.asarray(draw(6, 4, 4, 3, seed=1), dtype)

    def compute():
        # A new function for each call, because jit would reuse the program of another step size.
        return jax.jit(lambda x, y: kernel_gradient.compute_kernel_gradient(x, y, 4, 2, (1, 1)))(
            x, y
        )

    at_once = compute()
    tolerance = 1e-5 if dtype == jnp.float32 else 2**-8
    for images_per_step in (1, 4):  # four leaves two images for the last step
        monkeypatch.setattr(kernel_gradient, "_images_per_step", lambda *_, n=images_per_step: n)
        np.testing.assert_allclose(compute(), at_once, rtol=tolerance, atol=1e-4)


@pytest.mark.parametrize(
    ("batch", "numbers", "limit", "expected"),
    [
        (64, 6_400, 800, 8),
        (64, 6_400, 900, 8),
        (61, 610, 200, 16),
        (4, 400, 1_000, 4),
        (5, 5_000, 10, 1),
    ],
)
def test_steps_have_equal_sizes_within_the_limit(batch, numbers, limit, expected):
    assert kernel_gradient._images_per_step(batch, numbers, limit) == expected
