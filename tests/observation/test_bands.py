import functools
import itertools

import jax
import numpy as np
import PIL.Image
import pytest
from scipy import ndimage

from vae_jax.observation import bands as bands_module
from vae_jax.observation.bands import (
    CELL,
    NUM_CHANNELS,
    SIGMAS,
    compute_bands,
    compute_stored_bands,
)

compute = jax.jit(compute_bands, static_argnames="size")


def draw_images(shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


def compute_reference(grey):
    """The definition for one grey image, in float64 with SciPy and a loop over cells."""
    grey = grey.astype(np.float64)
    grey = (grey - grey.mean()) / grey.std()
    blurred = [ndimage.gaussian_filter(grey, sigma, mode="reflect") for sigma in SIGMAS]
    squares = [np.square(a - b) for a, b in itertools.pairwise([grey, *blurred])]
    starts = range(0, len(grey), CELL)

    def pool(image):
        cells = [[image[i : i + CELL, j : j + CELL].mean() for j in starts] for i in starts]
        return np.array(cells)

    energies = [np.log(pool(square) + 1e-6) for square in squares]
    return np.stack([*energies, pool(grey)], axis=-1)


@pytest.mark.parametrize("size", [8, 20, 32, 61])
def test_bands_follow_their_definition(size):
    x = draw_images((3, size, size, 3))
    bands = compute(x, size=size)
    cells = -(-size // CELL)
    assert bands.shape == (3, cells, cells, NUM_CHANNELS)
    assert bands.dtype == np.float32
    for image, values in zip(x, bands, strict=True):
        np.testing.assert_allclose(values, compute_reference(image.mean(axis=2)), atol=2e-3)


def test_smooth_images_have_small_and_still_exact_energies():
    x = ndimage.gaussian_filter(draw_images((2, 48, 48)), (0, 4, 4))
    bands = compute(x[..., None], size=48)
    assert bands[..., 0].max() < -5
    for image, values in zip(x, bands, strict=True):
        np.testing.assert_allclose(values, compute_reference(image), atol=5e-3)


@pytest.mark.parametrize("shape", [(90, 70), (20, 24)])
def test_an_image_of_another_size_is_resized_first(shape):
    image = draw_images(shape)
    resized = PIL.Image.fromarray(image).resize((32, 32), PIL.Image.Resampling.BILINEAR)
    bands = compute(image[None, ..., None], size=32)
    np.testing.assert_allclose(bands[0], compute_reference(np.asarray(resized)), atol=2e-3)


def test_bands_do_not_depend_on_brightness_and_contrast():
    x = draw_images((4, 24, 24, 1)) / 2
    bands = compute(x, size=24)
    np.testing.assert_allclose(compute(x / 3 + 0.4, size=24), bands, atol=2e-3)


@pytest.mark.parametrize("size", [8, 61, 512])
def test_a_flat_image_has_the_least_energy_and_a_mean_of_zero(size):
    for level in (0.0, 1 / 3, 77 / 255, 1.0):
        x = np.full((1, 61, 61, 3), level, np.float32) * np.float32([1, 0.9, 0.7])
        bands = compute(x, size=size)
        np.testing.assert_allclose(bands[..., :-1], np.log(1e-6), rtol=1e-5)
        np.testing.assert_array_equal(bands[..., -1], 0)


def test_a_pixel_that_differs_by_one_grey_level_is_no_flat_image():
    x = np.full((1, 512, 512, 1), 77 / 255, np.float32)
    x[0, 100, 100] = 78 / 255
    bands = compute(x, size=512)
    np.testing.assert_allclose(bands[0], compute_reference(x[0, ..., 0]), atol=1e-4)
    assert bands[0, 12, 12, 0] > 7


def test_stripes_are_strongest_in_the_band_of_their_scale():
    for period, band in ((2, 0), (9, 2), (36, 4)):
        wave = np.sin(2 * np.pi * np.arange(96) / period + 0.3)
        x = np.broadcast_to(0.5 + 0.4 * wave, (1, 96, 96)).astype(np.float32)[..., None]
        energies = np.asarray(compute(x, size=96))[0, ..., :-1].mean(axis=(0, 1))
        assert energies.argmax() == band


def test_bands_of_an_image_do_not_depend_on_the_batch():
    x = draw_images((5, 40, 40, 3))
    together = compute(x, size=40)
    for i in range(5):
        np.testing.assert_allclose(compute(x[i : i + 1], size=40)[0], together[i], atol=1e-5)


def test_bands_of_stored_images_are_computed_in_batches(monkeypatch):
    images = (255 * draw_images((5, 24, 24, 3))).astype(np.uint8)
    expected = compute(images / np.float32(255), size=24)
    monkeypatch.setattr(bands_module, "_MAX_PIXELS", 2 * 24 * 24)
    np.testing.assert_allclose(compute_stored_bands(images), expected, atol=1e-5)
    np.testing.assert_allclose(compute_stored_bands(images[3:4]), expected[3:4], atol=1e-5)
    monkeypatch.setattr(bands_module, "_MAX_PIXELS", 1)  # an image is never too large
    np.testing.assert_allclose(compute_stored_bands(images[:2]), expected[:2], atol=1e-5)


def test_the_matrix_products_keep_full_precision_on_every_device():
    compute_16 = functools.partial(compute_bands, size=16)
    program = str(jax.make_jaxpr(compute_16)(draw_images((2, 24, 24, 1))))
    # Resizing, five blurs, six means over cells; each has one product per side.
    assert program.count("dot_general[") == 2 * (1 + 5 + 6)
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == 2 * (1 + 5 + 6)
