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
from vae_jax.score_names import is_single, parse_score_name
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

# These scores need the importance-weighted likelihood, which costs many decodes per image.
BY_IMPORTANCE = ("nll", "bits_per_dim", "corrected_nll", "input_complexity")

# These scores need the width of the posterior, which an autoencoder lacks.
NEEDS_POSTERIOR = ("elbo", "kl", *BY_IMPORTANCE, "typicality", "likelihood_regret", "kl_gradient")


def needs_posterior(name: str) -> bool:
    """Returns whether an autoencoder lacks the score of this name."""
    return is_single(name) and parse_score_name(name).measure in NEEDS_POSTERIOR


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


# Name -> figure of a model of pixels. A figure measures the model and not how abnormal an image is.
FIGURES: dict[str, Score] = {
    "quality_mse": quality_mse,
    "quality_psnr": quality_psnr,
    "quality_ssim": quality_ssim,
    "noisy_mse": noisy_mse,
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
