"""Scores that compare an image with its reconstruction, pixel by pixel or frequency by frequency.

`scoring.aggregate` says how an error per pixel becomes one number an image: `mean`; `max`, the worst
pixel; `top_k`, the mean over the worst share `scoring.top_k` of the pixels, for anomalies that are small.
Channels are averaged first.

B batch, H W image, C channels; h w the pixels that have an error.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.metrics import image_quality
from vae_jax.model.objective import magnitude_error
from vae_jax.scoring.view import View

Errors = Float[Array, "B h w C"]


def _top_k(errors: Errors, share: float) -> Float[Array, "B"]:
    pixels = jnp.mean(errors, axis=3).reshape(len(errors), -1)
    worst, _ = jax.lax.top_k(pixels, max(1, round(share * pixels.shape[1])))
    return jnp.mean(worst, axis=1)


# From errors and the share of pixels that `top_k` keeps to one number an image.
AGGREGATES: dict[str, Callable[[Errors, float], Float[Array, "B"]]] = {
    "mean": lambda errors, share: jnp.mean(errors, axis=(1, 2, 3)),
    "max": lambda errors, share: jnp.max(jnp.mean(errors, axis=3), axis=(1, 2)),
    "top_k": _top_k,
}


def _aggregate(view: View, errors: Errors) -> Float[Array, "B"]:
    pixels = view.bound.model.select_region(errors)
    return AGGREGATES[view.scoring_config.aggregate](pixels, view.scoring_config.top_k)


def _squared(view: View) -> Errors:
    return jnp.square(view.x - view.x_hat)


def _absolute(view: View) -> Errors:
    return jnp.abs(view.x - view.x_hat)


def _cross_entropy(view: View) -> Errors:
    x_hat = jnp.clip(view.x_hat, 1e-6, 1 - 1e-6)
    return -(view.x * jnp.log(x_hat) + (1 - view.x) * jnp.log1p(-x_hat))


def _dissimilarity(view: View) -> Errors:
    """1 - SSIM of every pixel; near the edge, where no window fits, as of the nearest where one does."""
    inner = 1 - image_quality.ssim_map(view.x, view.x_hat)
    rows, columns = ((a - b) // 2 for a, b in zip(view.x.shape[1:3], inner.shape[1:3], strict=True))
    return jnp.pad(inner, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="edge")


def structural_errors(view: View) -> Errors:
    """Returns 1 - SSIM of the pixels that a window fits around; of all, where only a region counts.

    A region may lie where no window fits.
    """
    if view.bound.model.region is None:
        return 1 - image_quality.ssim_map(view.x, view.x_hat)
    return _dissimilarity(view)


def mse(view: View) -> Float[Array, "B"]:
    """Mean squared error of the reconstruction, per pixel of a [0, 1] image. Cost: one pass."""
    return _aggregate(view, _squared(view))


def l1(view: View) -> Float[Array, "B"]:
    """Mean absolute error of the reconstruction, per pixel of a [0, 1] image. Cost: one pass."""
    return _aggregate(view, _absolute(view))


def bce(view: View) -> Float[Array, "B"]:
    """Binary cross-entropy of image and reconstruction, nats, summed over pixels. Cost: one pass.

    -sum x log x_hat + (1 - x) log(1 - x_hat), with x_hat kept 1e-6 away from 0 and 1. Its least value
    is the entropy of x taken as probabilities, not 0: grey pixels cost more than black and white ones.
    Under `max` and `top_k` the sum is what it would be if every pixel were as bad as those.
    """
    return view.num_values * _aggregate(view, _cross_entropy(view))


def ssim(view: View) -> Float[Array, "B"]:
    """One minus the structural similarity of image and reconstruction, in [0, 2]. Cost: one pass.

    Under `max` and `top_k` its pixels are those that the window of `image_quality.ssim_map` fits around.
    Source: Wang, Bovik, Sheikh and Simoncelli 2004; for anomalies Bergmann et al. 2019.
    """
    return _aggregate(view, structural_errors(view))


def ms_ssim(view: View) -> Float[Array, "B"]:
    """One minus the multi-scale structural similarity, in [0, 1]. Cost: one pass.

    For images of 176 pixels and more, so that the window fits the coarsest of its five scales.
    Source: Wang, Simoncelli and Bovik 2003.
    """
    return 1 - image_quality.ms_ssim(view.x, view.x_hat)


def fft(view: View) -> Float[Array, "B"]:
    """Squared difference of the magnitude spectra, mean over frequencies. Cost: one pass and two FFTs.

    Sees texture that is missing, wherever it lies: the phase does not count. The unit is that of `mse`,
    by Parseval its upper bound, whatever the image size (`spectrum.magnitude_error`).
    """
    return jnp.sum(magnitude_error(view.x, view.x_hat), axis=(1, 2, 3)) / view.num_values


def pixel_maps(view: View) -> dict[str, Float[Array, "B H W"]]:
    """Returns the error of every pixel for each score of this module that has one, mean over channels.

    Units are those of the score under `mean`; `bce` in nats per value. Pixels near the edge, which the
    window of `ssim` does not fit around, take the value of the nearest one that it does.
    """
    errors = {
        "mse": _squared(view),
        "l1": _absolute(view),
        "bce": _cross_entropy(view),
        "ssim": _dissimilarity(view),
    }
    cover = view.bound.model.zero_outside_region
    return {name: jnp.mean(cover(values), axis=3) for name, values in errors.items()}
