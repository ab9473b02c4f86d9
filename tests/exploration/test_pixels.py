import numpy as np

from vae_jax.exploration.pixels import MAX_SIDE, flatten_pixels


def test_small_images_keep_every_pixel_in_the_unit_interval():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 5, 2), np.uint8)
    expected = images.reshape(3, -1) / 255
    np.testing.assert_allclose(flatten_pixels(images), expected, rtol=1e-6)
    np.testing.assert_allclose(
        flatten_pixels(images / np.float32(255)), flatten_pixels(images), rtol=1e-6
    )


def test_large_images_are_averaged_to_at_most_the_maximum_side():
    images = np.random.default_rng(1).integers(0, 256, (1, 2 * MAX_SIDE, 2 * MAX_SIDE, 1), np.uint8)
    rows = flatten_pixels(images).reshape(MAX_SIDE, MAX_SIDE)
    np.testing.assert_allclose(rows[3, 5], images[0, 6:8, 10:12, 0].mean() / 255, rtol=1e-5)
