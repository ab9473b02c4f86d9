"""What makes an image abnormal: one function a score, one number an image, higher is more abnormal.

Every function takes a `View` of a batch and returns [B]. What a score does not touch is not computed:
the view's parts are traced together and XLA drops what nobody reads.

B batch, H W image, C channels, Z latent.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vae_jax.metrics import image_quality
from vae_jax.scoring.gradient import elbo_gradient, kl_gradient
from vae_jax.scoring.latent import gmm, knn, latent_statistics, mahalanobis
from vae_jax.scoring.optimisation import likelihood_regret, restoration
from vae_jax.scoring.pixel_errors import bce, fft, l1, ms_ssim, mse, ssim, structural_errors
from vae_jax.scoring.probabilistic import (
    bits_per_dim,
    corrected_nll,
    input_complexity,
    nll,
    png_bits,
    typicality,
)
from vae_jax.scoring.view import Score, View


def elbo(view: View) -> Float[Array, "B"]:
    """Negative evidence lower bound, nats, from one posterior sample. Cost: one pass and a decode.

    -log p(x | z) + KL( q(z | x) || p(z) ), beta 1 whatever it was in training.
    Source: Kingma and Welling 2014, equation 7 with L = 1.
    """
    return view.terms.negative_elbo


def kl(view: View) -> Float[Array, "B"]:
    """KL( q(z | x) || p(z) ), nats, summed over latent dimensions. Cost: one encode."""
    return view.terms.kl


SCORES: dict[str, Score] = {
    "mse": mse,
    "l1": l1,
    "bce": bce,
    "ssim": ssim,
    "ms_ssim": ms_ssim,
    "fft": fft,
    "elbo": elbo,
    "kl": kl,
    "nll": nll,
    "bits_per_dim": bits_per_dim,
    "corrected_nll": corrected_nll,
    "typicality": typicality,
    "input_complexity": input_complexity,
    "mahalanobis": mahalanobis,
    "knn": knn,
    "gmm": gmm,
    "latent_statistics": latent_statistics,
    "likelihood_regret": likelihood_regret,
    "restoration": restoration,
    "elbo_gradient": elbo_gradient,
    "kl_gradient": kl_gradient,
}

# These rest on the importance-weighted likelihood: many decodes an image.
BY_IMPORTANCE = ("nll", "bits_per_dim", "corrected_nll", "input_complexity")

# These ask for a posterior with a width; an autoencoder has none.
NEEDS_POSTERIOR = ("elbo", "kl", *BY_IMPORTANCE, "typicality", "likelihood_regret", "kl_gradient")

# These cost many passes an image.
BY_OPTIMISATION = ("likelihood_regret", "restoration")


def deciding_score(wanted: str, names: Sequence[str]) -> str:
    """Returns which of the computed scores decides.

    Args:
        wanted: `scoring.decision`.
        names: of the scores that were computed, at least one.
    """
    if wanted in names:  # an autoencoder may lack it
        return wanted
    return "fusion" if "fusion" in names else names[0]


def quality_mse(view: View) -> Float[Array, "B"]:
    """Mean squared error of the reconstruction, whatever `scoring.aggregate` says."""
    return image_quality.mse(*_pixels(view, view.x_hat))


def quality_psnr(view: View) -> Float[Array, "B"]:
    """Peak signal-to-noise ratio of the reconstruction, dB."""
    return image_quality.psnr(*_pixels(view, view.x_hat))


def quality_ssim(view: View) -> Float[Array, "B"]:
    """Structural similarity of image and reconstruction, at most 1."""
    errors = view.bound.model.select_region(structural_errors(view))
    return 1 - jnp.mean(errors, axis=(1, 2, 3))


def noisy_mse(view: View) -> Float[Array, "B"]:
    """Mean squared error between the clean image and the reconstruction of its noisy version."""
    return image_quality.mse(*_pixels(view, view.x_hat_noisy))


def reconstruction(view: View) -> Float[Array, "B"]:
    """-log p(x | z) of one posterior sample, nats: the training loss's first term."""
    return view.terms.reconstruction


def frequency(view: View) -> Float[Array, "B"]:
    """Squared difference of the magnitude spectra, summed: the training loss's spectral term."""
    return view.terms.frequency


def _pixels(view: View, y: Float[Array, "B H W C"]) -> tuple[Array, Array]:
    return view.bound.model.select_region(view.x), view.bound.model.select_region(y)


# Figures of the model, not of abnormality; they share the pass with the scores, not the names.
FIGURES: dict[str, Score] = {
    "quality_mse": quality_mse,
    "quality_psnr": quality_psnr,
    "quality_ssim": quality_ssim,
    "noisy_mse": noisy_mse,
    "reconstruction": reconstruction,
    "frequency": frequency,
}

COLUMNS = SCORES | FIGURES

# Name of a score -> images -> one number each, which the score finds under its name in `view.host`.
HOST_FEATURES: dict[str, Callable[[UInt8[np.ndarray, "N H W C"]], Float[np.ndarray, "N"]]] = {
    "input_complexity": png_bits
}
