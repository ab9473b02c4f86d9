"""All scores by name, and the figures of the model that are computed in the same pass.

Every function takes a `View` of a batch and returns one number per image; a higher score means a more
abnormal image. Parts of the view that no requested score reads cost nothing: all scores are traced
together, and XLA removes what is not used.

B batch, H W image, C channels.
"""

import functools
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from vae_jax.metrics import image_quality
from vae_jax.score_names import is_baseline, is_combination, parse_score_name
from vae_jax.scoring.gradient import elbo_gradient, kl_gradient
from vae_jax.scoring.joint_gaussian import joint
from vae_jax.scoring.latent import gmm, knn, latent_statistics, mahalanobis
from vae_jax.scoring.optimisation import likelihood_regret, restoration
from vae_jax.scoring.pixel_errors import (
    bce,
    cosine,
    fft,
    l1,
    ms_ssim,
    mse,
    place_gaussian,
    place_nll,
    ssim,
    structural_errors,
)
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

    -log p(x | z) + KL( q(z | x) || p(z) ). The KL has weight 1, whatever beta was in training.
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
    "cosine": cosine,
    "place_nll": place_nll,
    "place_gaussian": place_gaussian,
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
    "joint": joint,
}

# Name of a score -> what it measures, for the pages that a user reads.
SCORE_TEXTS: dict[str, str] = {
    "mse": "The mean squared difference between the image and its reconstruction.",
    "l1": "The mean absolute difference between the image and its reconstruction.",
    "bce": "The binary cross-entropy of the image and its reconstruction, summed over pixels, in nats.",
    "ssim": "One minus the structural similarity of the image and its reconstruction.",
    "ms_ssim": "One minus the structural similarity of the image and its reconstruction at five scales.",
    "fft": "The mean squared difference between the frequency spectra of the image and its "
    "reconstruction: texture that is missing or added.",
    "elbo": "The negative ELBO, in nats: the less likely the model finds the image, the higher it is.",
    "kl": "The KL divergence of the posterior from the prior, in nats.",
    "nll": "The negative log-likelihood of the image, in nats, estimated from many posterior samples.",
    "bits_per_dim": "The negative log-likelihood of the image in bits per pixel value.",
    "corrected_nll": "The negative log-likelihood minus its value at a perfect reconstruction, in nats.",
    "typicality": "The absolute difference between the negative ELBO of the image and the mean of "
    "training images, in nats; an image that is too likely gets a high score, too.",
    "input_complexity": "The bits per pixel value under the model minus the bits per pixel value that the "
    "PNG format needs.",
    "mahalanobis": "The distance of the code from the mean of the training codes, in standard deviations.",
    "knn": "The distance of the code to its k-th nearest training code; scoring.knn_k is k.",
    "gmm": "The negative log-density of the code under a mixture of Gaussians that was fitted to the "
    "training codes, in nats.",
    "latent_statistics": "How far the mean, spread and norm of the code and the width of the posterior "
    "are from those of training images, in standard deviations; the largest distance counts.",
    "likelihood_regret": "How much the ELBO grows when the posterior is optimised for this image alone, in "
    "nats.",
    "restoration": "How much the image changes when it is optimised to be likely under the model.",
    "elbo_gradient": "How much the ELBO changes with the pixels of the image, in nats.",
    "kl_gradient": "How much the KL divergence changes with the pixels of the image, in nats.",
    "fusion": "The mean of the scores in scoring.fusion, each expressed as how surprising it is among "
    "validation images, in nats; 0 is the median of normal images.",
}

# These scores need the importance-weighted likelihood, which costs many decodes per image.
BY_IMPORTANCE = ("nll", "bits_per_dim", "corrected_nll", "input_complexity")

# These scores need the width of the posterior, which an autoencoder lacks.
NEEDS_POSTERIOR = ("elbo", "kl", *BY_IMPORTANCE, "typicality", "likelihood_regret", "kl_gradient")


def needs_posterior(name: str) -> bool:
    """Returns whether an autoencoder lacks the score of this name."""
    return not (is_combination(name) or is_baseline(name)) and (
        parse_score_name(name).measure in NEEDS_POSTERIOR
    )


# These scores cost many passes per image.
BY_OPTIMISATION = ("likelihood_regret", "restoration")


def deciding_score(wanted: str, names: Sequence[str]) -> str:
    """Returns the name of the score whose threshold decides which images are anomalous.

    Args:
        wanted: `scoring.decision`; it is not among `names` where it is "" or an autoencoder lacks it.
        names: names of the computed scores; at least one.

    Returns:
        `wanted` if it was computed, else `fusion` or `hedge` if it was computed, else the first name.
    """
    return next((name for name in (wanted, "fusion", "hedge") if name in names), names[0])


def quality_mse(view: View) -> Float[Array, "B"]:
    """Mean squared error of the reconstruction over all pixels, whatever `scoring.aggregate` is."""
    return image_quality.mse(*_images_in_region(view, view.x_hat))


def quality_psnr(view: View) -> Float[Array, "B"]:
    """Peak signal-to-noise ratio of the reconstruction, dB."""
    return image_quality.psnr(*_images_in_region(view, view.x_hat))


def quality_ssim(view: View) -> Float[Array, "B"]:
    """Structural similarity of the image and its reconstruction, at most 1."""
    errors = view.bound.model.select_region(structural_errors(view))
    return 1 - jnp.mean(errors, axis=(1, 2, 3))


def noisy_mse(view: View) -> Float[Array, "B"]:
    """Mean squared error between the clean image and the reconstruction of its noisy version."""
    return image_quality.mse(*_images_in_region(view, view.x_hat_noisy))


def reconstruction(view: View) -> Float[Array, "B"]:
    """-log p(x | z) of one posterior sample, nats: the reconstruction term of the training loss."""
    return view.terms.reconstruction


def frequency(view: View) -> Float[Array, "B"]:
    """Squared difference of the magnitude spectra, summed: the frequency term of the training loss."""
    return view.terms.frequency


def _images_in_region(view: View, other: Float[Array, "B H W C"]) -> tuple[Array, Array]:
    """Returns the images of the view and other images, both inside the region of interest only."""
    return view.bound.model.select_region(view.x), view.bound.model.select_region(other)


# Name -> figure of the model. A figure measures the model and not how abnormal an image is.
FIGURES: dict[str, Score] = {
    "quality_mse": quality_mse,
    "quality_psnr": quality_psnr,
    "quality_ssim": quality_ssim,
    "noisy_mse": noisy_mse,
    "reconstruction": reconstruction,
    "frequency": frequency,
}

# Figures that are a sum over the branches of a model.
_SUMS: dict[str, Score] = {
    "elbo": elbo,
    "kl": kl,
    "reconstruction": reconstruction,
    "frequency": frequency,
}


def find_column(name: str) -> Callable[[dict[str, View]], Float[Array, "B"]]:
    """Finds the function that computes a column from the views of all branches.

    Args:
        name: name of a score of a model, which `score_names` describes; of a figure in FIGURES, for a model
            of pixels; or `elbo`, `kl`, `reconstruction` or `frequency`, the sum over all branches.
    """
    if name in _SUMS:
        return lambda views: functools.reduce(jnp.add, map(_SUMS[name], views.values()))
    if name in FIGURES:
        return lambda views: FIGURES[name](views["pixels"])
    parsed = parse_score_name(name)
    function = SCORES[parsed.measure]
    if parsed.aggregate:
        function = functools.partial(function, aggregate=parsed.aggregate)
    return lambda views: function(views[parsed.observation])


# Name of a score -> function of uint8 images that the host computes, one number per image. The score
# finds the numbers under its own name in `view.host`.
HOST_FEATURES: dict[str, Callable[[UInt8[np.ndarray, "N H W C"]], Float[np.ndarray, "N"]]] = {
    "input_complexity": png_bits
}
