import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vae_jax.model import blocks


def draw(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_taps_hold_the_kernel_in_blocks_and_zeros_behind_it():
    kernel = draw(3, 3, 2, 5)
    taps = np.asarray(blocks.split_into_taps(jnp.asarray(kernel), 2))
    assert taps.shape == (2, 2, 2 * 2 * 2, 5)
    np.testing.assert_array_equal(taps[0, 0], kernel[:2, :2].reshape(8, 5))
    last = np.zeros((2, 2, 2, 5), np.float32)
    last[0, 0] = kernel[2, 2]
    np.testing.assert_array_equal(taps[1, 1], last.reshape(8, 5))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_block_holds_its_pixels_row_by_row(dtype):
    x = jnp.asarray(draw(2, 4, 6, 3), dtype)
    image_blocks = blocks.split_into_blocks(x, 2, (1, 0), (3, 3))
    padded = np.pad(np.asarray(x), ((0, 0), (1, 1), (0, 0), (0, 0)))
    assert image_blocks.dtype == dtype
    assert image_blocks.shape == (2, 3, 3, 12)
    for i in range(3):
        for j in range(3):
            pixels = padded[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(2, -1)
            np.testing.assert_array_equal(image_blocks[:, i, j], pixels)


def test_padding_adds_zeros_before_and_behind_and_cuts_what_does_not_fit():
    x = draw(1, 3, 3, 1)
    padded = np.asarray(blocks.pad(jnp.asarray(x), (1, 2), (6, 4)))
    expected = np.zeros((1, 6, 4, 1), np.float32)
    expected[:, 1:4, 2:4] = x[:, :, :2]
    np.testing.assert_array_equal(padded, expected)


def test_blocks_times_taps_shifted_and_summed_are_the_convolution():
    x, kernel = jnp.asarray(draw(2, 8, 8, 3)), jnp.asarray(draw(4, 4, 3, 5))
    taps = blocks.split_into_taps(kernel, 2)
    image_blocks = blocks.split_into_blocks(x, 2, (1, 1), (5, 5))
    products = blocks.contract(image_blocks, taps, ((3,), (2,)))
    expected = lax.conv_general_dilated(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(blocks.sum_shifted(products, (4, 4)), expected, atol=1e-4)
