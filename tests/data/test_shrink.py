import numpy as np
import pytest

from vae_jax.data.shrink import shrink_images


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 131, 100, 3), np.uint8)


def test_pixels_are_averaged_in_whole_blocks(images):
    small = shrink_images(images, 64)
    assert small.shape == (2, 43, 33, 3)
    for row, column in np.ndindex(small.shape[1:3]):
        block = images[:, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
        np.testing.assert_allclose(
            small[:, row, column], block.mean((1, 2)) / 255, rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize("max_side", [1, 20, 64, 130])
def test_no_side_is_longer_than_the_limit(images, max_side):
    assert max(shrink_images(images, max_side).shape[1:3]) <= max_side


def test_small_images_keep_their_pixels_and_bytes_are_scaled_to_one(images):
    small = images[:, :8, :8]
    unit = small.astype(np.float32) / 255
    np.testing.assert_allclose(shrink_images(small, 64), unit, rtol=1e-6)
    np.testing.assert_array_equal(shrink_images(unit, 8), unit)
