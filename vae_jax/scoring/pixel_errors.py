"""Scores that compare an image with its reconstruction, pixel by pixel or frequency by frequency.

B batch, H W image, C channels.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.metrics import image_quality
from vae_jax.model.objective import magnitude_error
from vae_jax.scoring.error_maps import Errors, aggregate_errors, compute_errors
from vae_jax.scoring.view import View


def mse(view: View, aggregate: str = "") -> Float[Array, "B"]:
    """Mean squared error of the reconstruction, per pixel of a [0, 1] image. Cost: one pass."""
    return aggregate_errors(view, compute_errors(view, "mse"), aggregate)


def l1(view: View, aggregate: str = "") -> Float[Array, "B"]:
    """Mean absolute error of the reconstruction, per pixel of a [0, 1] image. Cost: one pass."""
    return aggregate_errors(view, compute_errors(view, "l1"), aggregate)


def bce(view: View, aggregate: str = "") -> Float[Array, "B"]:
    """Binary cross-entropy of the image and its reconstruction, nats, summed over pixels. Cost: one pass.

    -sum x log x_hat + (1 - x) log(1 - x_hat), with x_hat at least 1e-6 away from 0 and 1. Its minimum is
    not 0 but the entropy of x taken as probabilities: grey pixels cost more than black and white pixels.
    Under `max` and `top_k` it is the sum that results if every pixel is as bad as the worst ones.
    """
    return view.num_values * aggregate_errors(view, compute_errors(view, "bce"), aggregate)


def ssim(view: View, aggregate: str = "") -> Float[Array, "B"]:
    """One minus the structural similarity of the image and its reconstruction, in [0, 2]. Cost: one pass.

    Without a region of interest, only those pixels count around which the window of SSIM fits.
    Source: Wang, Bovik, Sheikh and Simoncelli 2004; for anomalies Bergmann et al. 2019.
    """
    return aggregate_errors(view, structural_errors(view), aggregate)


def cosine(view: View, aggregate: str = "") -> Float[Array, "B"]:
    """One minus the cosine between a place and its reconstruction, in [0, 2]. Cost: one pass.

    It compares the directions of the vectors of channels, so the contrast of an image does not count.
    """
    return aggregate_errors(view, compute_errors(view, "cosine"), aggregate)


def place_nll(view: View, aggregate: str = "") -> Float[Array, "B"]:
    """-log p(x | z) of a place, nats, summed over its channels. Cost: one pass.

    It weighs the error of each channel by the sigma that the model learned for it.
    """
    return aggregate_errors(view, compute_errors(view, "place_nll"), aggregate)


def place_gaussian(view: View, aggregate: str = "") -> Float[Array, "B"]:
    """Squared Mahalanobis distance of a place's residual from normals. Cost: one pass, and the fit.

    Source: Defard et al. 2021, "PaDiM", applied to observation minus reconstruction.
    """
    return aggregate_errors(view, compute_errors(view, "place_gaussian"), aggregate)


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
    if view.bound.model.region is not None:
        return compute_errors(view, "ssim")
    return view.average_over_reconstructions(
        lambda raw: 1 - image_quality.ssim_map(view.x, view.compute_mean(raw))
    )
