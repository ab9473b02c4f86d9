import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import validate as validate_lib
from vae_jax.errors import UserError
from vae_jax.metrics import image_quality
from vae_jax.model.vae import BoundModel, build_model
from vae_jax.scoring import pixel_errors
from vae_jax.validate_model import MIN_MS_SSIM_SIZE

AGGREGATED = ("mse", "l1", "bce", "ssim")


def show(view, x_hat, x=None):
    """Returns the view with other reconstructions, and with other images if they are given."""
    raw = view.bound.model.likelihood.likeliest_raw(x_hat)
    x = view.x if x is None else x
    return dataclasses.replace(view, x=x, x_hat=x_hat, raw=raw, x_hat_noisy=x_hat)


@pytest.fixture
def view(make_view, config):
    """A view of five random images of 16 x 16 x 3, with random reconstructions.

    The likelihood is `normal`, whose mean is a part of the decoder's output without a rounding error.
    """
    config.model.likelihood = "normal"
    rng = np.random.default_rng(0)
    x, x_hat = rng.uniform(0.05, 0.95, (2, 5, 16, 16, 3)).astype(np.float32)
    empty = make_view(5, bound=BoundModel(build_model(config), {}))
    return show(empty, jnp.asarray(x_hat), jnp.asarray(x))


def by_hand(name, view):
    """Returns the error of every pixel and channel, computed with NumPy."""
    x, x_hat = np.asarray(view.x, np.float64), np.asarray(view.x_hat, np.float64)
    return {
        "mse": np.square(x - x_hat),
        "l1": np.abs(x - x_hat),
        "bce": -x * np.log(x_hat) - (1 - x) * np.log(1 - x_hat),
        "ssim": 1 - np.asarray(image_quality.ssim_map(view.x, view.x_hat)),
    }[name]


def unit(name, view):
    return view.x[0].size if name == "bce" else 1


@pytest.mark.parametrize("name", AGGREGATED)
def test_mean_is_over_pixels_and_channels(name, view):
    expected = unit(name, view) * by_hand(name, view).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(getattr(pixel_errors, name)(view), expected, rtol=1e-5)


@pytest.mark.parametrize("name", AGGREGATED)
def test_max_is_the_worst_pixel(name, view, config):
    config.scoring.aggregate = "max"
    expected = unit(name, view) * by_hand(name, view).mean(axis=3).max(axis=(1, 2))
    np.testing.assert_allclose(getattr(pixel_errors, name)(view), expected, rtol=1e-5)


@pytest.mark.parametrize("name", AGGREGATED)
def test_top_k_is_the_mean_of_the_worst_share(name, view, config):
    config.scoring.aggregate, config.scoring.top_k = "top_k", 0.1
    pixels = np.sort(by_hand(name, view).mean(axis=3).reshape(5, -1), axis=1)
    expected = unit(name, view) * pixels[:, -round(0.1 * pixels.shape[1]) :].mean(axis=1)
    np.testing.assert_allclose(getattr(pixel_errors, name)(view), expected, rtol=1e-5)


@pytest.mark.parametrize("name", AGGREGATED)
def test_top_k_of_one_pixel_is_max_and_of_all_pixels_is_mean(name, view, config):
    score = getattr(pixel_errors, name)
    values = []
    for aggregate, share in (("max", 0), ("top_k", 0), ("top_k", 1), ("mean", 1)):
        config.scoring.aggregate, config.scoring.top_k = aggregate, share
        values.append(score(view))
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6)
    np.testing.assert_allclose(values[2], values[3], rtol=1e-5)


def test_mse_equals_the_mse_of_image_quality_exactly(view):
    np.testing.assert_array_equal(pixel_errors.mse(view), image_quality.mse(view.x, view.x_hat))


def test_max_and_top_k_detect_a_small_spot_and_mean_does_not(view, config):
    whole = show(view, view.x + 0.02)
    spot = show(view, view.x.at[:, 3:5, 3:5].add(0.1))
    more = {}
    for aggregate in validate_lib.AGGREGATES:
        config.scoring.aggregate = aggregate
        more[aggregate] = bool((pixel_errors.l1(spot) > pixel_errors.l1(whole)).all())
    assert more == {"mean": False, "max": True, "top_k": True, "contrast": True}


def test_fft_agrees_with_the_magnitudes_of_numpy(view):
    x, x_hat = (
        np.abs(np.fft.fft2(np.asarray(image, np.float64), axes=(1, 2), norm="ortho"))
        for image in (view.x, view.x_hat)
    )
    expected = np.square(x - x_hat).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(pixel_errors.fft(view), expected, rtol=1e-4)
    assert (pixel_errors.fft(view) < pixel_errors.mse(view)).all()


def test_fft_does_not_change_with_the_size_of_the_image(view):
    tiled = show(view, jnp.tile(view.x_hat, (1, 3, 3, 1)), jnp.tile(view.x, (1, 3, 3, 1)))
    np.testing.assert_allclose(pixel_errors.fft(tiled), pixel_errors.fft(view), rtol=1e-4)


def test_fft_does_not_depend_on_the_place_of_texture(view):
    moved = show(view, jnp.roll(view.x, (3, 5), axis=(1, 2)))
    np.testing.assert_allclose(pixel_errors.fft(moved), 0, atol=1e-9)
    assert (pixel_errors.mse(moved) > 0.01).all()


@pytest.mark.parametrize("name", [*AGGREGATED, "fft"])
def test_a_perfect_reconstruction_has_the_lowest_score(name, view):
    perfect = show(view, view.x)
    score = getattr(pixel_errors, name)
    assert (score(perfect) < score(view)).all()
    if name != "bce":
        np.testing.assert_allclose(score(perfect), 0, atol=1e-6)


def test_ms_ssim_needs_the_size_that_the_config_says(make_view):
    size = MIN_MS_SSIM_SIZE
    image = jnp.zeros((1, size, size, 1))
    large = show(make_view(1), image, image)
    np.testing.assert_allclose(pixel_errors.ms_ssim(large), 0, atol=1e-6)
    small = show(make_view(1), image[:, 1:], image[:, 1:])
    with pytest.raises(ValueError, match=f"at least {size} x {size}"):
        pixel_errors.ms_ssim(small)


def test_ms_ssim_of_a_smaller_image_is_refused_before_any_work(config):
    config.scoring.names = ("mse", "ms_ssim")
    with pytest.raises(
        UserError, match=r"data.image_size is 8; the score ms_ssim needs at least 176"
    ):
        validate_lib.validate_config(config)
    config.scoring.names, config.scoring.fusion = ("mse",), ("ms_ssim",)
    validate_lib.validate_config(config)
    config.scoring.names = ("mse", "fusion")
    with pytest.raises(UserError, match="ms_ssim"):
        validate_lib.validate_config(config)
