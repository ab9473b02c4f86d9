"""Scores that compare an image with its reconstruction, pixel by pixel or frequency by frequency.

`scoring.aggregate` selects how the errors of the pixels become one number per image: `mean`; `max`, the
error of the worst pixel; or `top_k`, the mean over the worst pixels, for small anomalies. The share of
pixels that are the worst is `scoring.top_k`. Errors are first averaged over channels.

B batch, H W image, C channels, h w the pixels that have an error.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.metrics import image_quality
from vae_jax.model.objective import magnitude_error
from vae_jax.scoring.view import View

Errors = Float[Array, "B h w C"]

_MIN_PROBABILITY = 1e-6  # reconstructed values are kept this far from 0 and 1 in the cross-entropy


def _average_worst(errors: Errors, share: float) -> Float[Array, "B"]:
    pixels = jnp.mean(errors, axis=3).reshape(len(errors), -1)
    worst, _ = jax.lax.top_k(pixels, max(1, round(share * pixels.shape[1])))
    return jnp.mean(worst, axis=1)


# Name of an aggregate -> function of the errors and of `scoring.top_k`, to one number per image.
AGGREGATES: dict[str, Callable[[Errors, float], Float[Array, "B"]]] = {
    "mean": lambda errors, share: jnp.mean(errors, axis=(1, 2, 3)),
    "max": lambda errors, share: jnp.max(jnp.mean(errors, axis=3), axis=(1, 2)),
    "top_k": _average_worst,
}


def mse(view: View) -> Float[Array, "B"]:
    """Mean squared error of the reconstruction, per pixel of a [0, 1] image. Cost: one pass."""
    return _aggregate(view, _compute_squared(view))


def l1(view: View) -> Float[Array, "B"]:
    """Mean absolute error of the reconstruction, per pixel of a [0, 1] image. Cost: one pass."""
    return _aggregate(view, _compute_absolute(view))


def bce(view: View) -> Float[Array, "B"]:
    """Binary cross-entropy of the image and its reconstruction, nats, summed over pixels. Cost: one pass.

    -sum x log x_hat + (1 - x) log(1 - x_hat), with x_hat at least 1e-6 away from 0 and 1. Its minimum is
    not 0 but the entropy of x taken as probabilities: grey pixels cost more than black and white pixels.
    Under `max` and `top_k` it is the sum that results if every pixel is as bad as the worst ones.
    """
    return view.num_values * _aggregate(view, _compute_cross_entropy(view))


def ssim(view: View) -> Float[Array, "B"]:
    """One minus the structural similarity of the image and its reconstruction, in [0, 2]. Cost: one pass.

    Without a region of interest, only those pixels count around which the window of SSIM fits.
    Source: Wang, Bovik, Sheikh and Simoncelli 2004; for anomalies Bergmann et al. 2019.
    """
    return _aggregate(view, structural_errors(view))


def ms_ssim(view: View) -> Float[Array, "B"]:
    """One minus the multi-scale structural similarity, in [0, 1]. Cost: one pass.

    Images must have at least 176 pixels per side, so that the window fits into the coarsest of the five
    scales.
    Source: Wang, Simoncelli and Bovik 2003.
    """
    return 1 - image_quality.ms_ssim(view.x, view.x_hat)


def fft(view: View) -> Float[Array, "B"]:
    """Squared difference of the magnitude spectra, mean over frequencies. Cost: one pass and two FFTs.

    It detects missing texture wherever it is in the image, because the phase does not count. It has the
    unit of `mse` and is at most `mse` (Parseval), whatever the size of the image is.
    """
    return jnp.sum(magnitude_error(view.x, view.x_hat), axis=(1, 2, 3)) / view.num_values


def structural_errors(view: View) -> Errors:
    """Returns 1 - SSIM of the pixels around which the window fits.

    With a region of interest it returns 1 - SSIM of all pixels, because the window may not fit around any
    pixel of the region.
    """
    if view.bound.model.region is None:
        return 1 - image_quality.ssim_map(view.x, view.x_hat)
    return _compute_dissimilarity(view)


def compute_pixel_maps(view: View) -> dict[str, Float[Array, "B H W"]]:
    """Computes the error of every pixel, mean over channels, for each score of this module that has a map.

    The unit of a map is the unit of its score under `mean`, except for `bce`, which is in nats per value.
    Pixels near the edge, around which the window of `ssim` does not fit, get the value of the nearest pixel
    around which it fits.
    """
    errors = {
        "mse": _compute_squared(view),
        "l1": _compute_absolute(view),
        "bce": _compute_cross_entropy(view),
        "ssim": _compute_dissimilarity(view),
    }
    zero_outside_region = view.bound.model.zero_outside_region
    return {name: jnp.mean(zero_outside_region(values), axis=3) for name, values in errors.items()}


def _aggregate(view: View, errors: Errors) -> Float[Array, "B"]:
    """Returns one number per image, from the errors in the region of interest."""
    pixels = view.bound.model.select_region(errors)
    return AGGREGATES[view.scoring_config.aggregate](pixels, view.scoring_config.top_k)


def _compute_squared(view: View) -> Errors:
    return jnp.square(view.x - view.x_hat)


def _compute_absolute(view: View) -> Errors:
    return jnp.abs(view.x - view.x_hat)


def _compute_cross_entropy(view: View) -> Errors:
    x_hat = jnp.clip(view.x_hat, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)
    return -(view.x * jnp.log(x_hat) + (1 - view.x) * jnp.log1p(-x_hat))


def _compute_dissimilarity(view: View) -> Errors:
    """Computes 1 - SSIM of every pixel.

    A pixel near the edge, around which the window does not fit, gets the value of the nearest pixel around
    which it fits.
    """
    inner = 1 - image_quality.ssim_map(view.x, view.x_hat)
    rows, columns = ((a - b) // 2 for a, b in zip(view.x.shape[1:3], inner.shape[1:3], strict=True))
    return jnp.pad(inner, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="edge")
