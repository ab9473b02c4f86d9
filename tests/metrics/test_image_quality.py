import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vae_jax.metrics import image_quality

SHAPES = [(2, 8, 8, 1), (2, 12, 15, 1), (1, 28, 28, 1), (1, 40, 33, 3)]


def pair(shape, seed=0, noise=0.2):
    """A smooth image and the same image with noise, so that their similarity is neither 0 nor 1."""
    rng = np.random.default_rng(seed)
    x = ndimage.gaussian_filter(rng.random(shape), (0, 2, 2, 0))
    x = (x - x.min()) / (x.max() - x.min())
    y = np.clip(x + noise * rng.normal(size=shape), 0, 1)
    return jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)


def reference_components(x, y):
    """SSIM of two single-channel images, window by window, in float64."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    size = min(11, (min(x.shape) - 1) // 2 * 2 + 1)
    offset = np.arange(size) - size // 2
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    window /= window.sum()
    views = [np.lib.stride_tricks.sliding_window_view(image, (size, size)) for image in (x, y)]
    mean = [np.sum(view * window, axis=(2, 3)) for view in views]
    centred = [view - m[..., None, None] for view, m in zip(views, mean, strict=True)]
    variance = [np.sum(window * c**2, axis=(2, 3)) for c in centred]
    covariance = np.sum(window * centred[0] * centred[1], axis=(2, 3))
    luminance = (2 * mean[0] * mean[1] + 1e-4) / (mean[0] ** 2 + mean[1] ** 2 + 1e-4)
    return luminance, (2 * covariance + 9e-4) / (variance[0] + variance[1] + 9e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_ssim_is_that_of_the_definition(shape):
    x, y = pair(shape)
    similarity = np.asarray(image_quality.ssim_map(x, y))
    for b in range(shape[0]):
        for c in range(shape[3]):
            luminance, contrast_structure = reference_components(x[b, ..., c], y[b, ..., c])
            np.testing.assert_allclose(
                similarity[b, ..., c], luminance * contrast_structure, atol=2e-4
            )
    np.testing.assert_allclose(
        image_quality.ssim(x, y), similarity.reshape(shape[0], -1).mean(axis=1), rtol=1e-5
    )


@pytest.mark.parametrize("num_scales", [2, 5])
def test_ms_ssim_is_that_of_the_definition(num_scales):
    x, y = pair((1, 180, 177, 2))
    expected = []
    for c in range(2):
        a, b, product = x[0, ..., c], y[0, ..., c], 1.0
        weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])[:num_scales]
        for scale, weight in enumerate(weights / weights.sum()):
            luminance, similarity = reference_components(a, b)
            if scale == num_scales - 1:
                similarity = luminance * similarity
            product *= max(similarity.mean(), 0) ** weight
            h, w = np.array(a.shape) // 2 * 2
            a, b = (
                (i[:h:2, :w:2] + i[1:h:2, :w:2] + i[:h:2, 1:w:2] + i[1:h:2, 1:w:2]) / 4
                for i in (a, b)
            )
        expected.append(product)
    result = image_quality.ms_ssim(x, y, num_scales)
    np.testing.assert_allclose(result, [np.mean(expected)], atol=1e-4)


def test_the_error_of_ms_ssim_names_the_smallest_size():
    x, y = pair((1, 28, 28, 1))
    with pytest.raises(ValueError, match="28 x 28; MS-SSIM of 5 scales needs at least 176 x 176"):
        image_quality.ms_ssim(x, y)
    assert image_quality.ms_ssim(x, y, num_scales=2).shape == (1,)


@pytest.mark.parametrize("shape", SHAPES)
def test_identical_images_are_perfect(shape):
    x, _ = pair(shape)
    np.testing.assert_array_equal(image_quality.mse(x, x), 0)
    np.testing.assert_allclose(image_quality.psnr(x, x), 100, rtol=1e-6)
    np.testing.assert_allclose(image_quality.ssim(x, x), 1, rtol=1e-6)


def test_known_values_of_constant_images():
    x, y = jnp.full((1, 16, 16, 1), 0.5), jnp.full((1, 16, 16, 1), 0.6)
    np.testing.assert_allclose(image_quality.mse(x, y), 0.01, rtol=1e-5)
    np.testing.assert_allclose(image_quality.psnr(x, y), 20, rtol=1e-5)
    # The variance is 0, so only luminance counts.
    np.testing.assert_allclose(
        image_quality.ssim(x, y), (2 * 0.5 * 0.6 + 1e-4) / (0.25 + 0.36 + 1e-4), rtol=1e-3
    )


@pytest.mark.parametrize("measure", [image_quality.mse, image_quality.psnr, image_quality.ssim])
def test_measures_are_symmetric_and_per_example(measure):
    x, y = pair((3, 12, 12, 3))
    batch = measure(x, y)
    np.testing.assert_allclose(measure(y, x), batch, rtol=1e-5)
    for b in range(3):
        np.testing.assert_allclose(measure(x[b : b + 1], y[b : b + 1]), batch[b : b + 1], rtol=1e-5)


@pytest.mark.parametrize("measure", [image_quality.mse, image_quality.psnr, image_quality.ssim])
def test_measures_run_under_jit_vmap_and_grad(measure):
    x, y = pair((3, 12, 12, 1))
    expected = measure(x, y)
    np.testing.assert_allclose(jax.jit(measure)(x, y), expected, rtol=1e-5)
    by_example = jax.vmap(lambda a, b: measure(a[None], b[None])[0])(x, y)
    np.testing.assert_allclose(by_example, expected, rtol=1e-5)
    gradient = jax.grad(lambda a: measure(a, y).sum())(x)
    assert np.isfinite(gradient).all()
