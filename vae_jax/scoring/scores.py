"""What makes an image abnormal: one function a score, one number an image, higher is more abnormal.

Every function takes a `View` of a batch and returns [B]. What a score does not touch is not computed:
the view's parts are traced together and XLA drops what nobody reads.

B batch, H W image, C channels, Z latent.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from vae_jax.metrics import image_quality
from vae_jax.scoring.probabilistic import typicality
from vae_jax.scoring.view import Score, View


def mse(view: View) -> Float[Array, "B"]:
    """Mean squared error of the reconstruction, per pixel of a [0, 1] image. Cost: one pass."""
    return image_quality.mse(view.x, view.x_hat)


def bce(view: View) -> Float[Array, "B"]:
    """Binary cross-entropy of image and reconstruction, nats, summed over pixels. Cost: one pass.

    -sum x log x_hat + (1 - x) log(1 - x_hat), with x_hat kept 1e-6 away from 0 and 1. Its least value
    is the entropy of x taken as probabilities, not 0: grey pixels cost more than black and white ones.
    """
    x_hat = jnp.clip(view.x_hat, 1e-6, 1 - 1e-6)
    log_prob = view.x * jnp.log(x_hat) + (1 - view.x) * jnp.log1p(-x_hat)
    return -jnp.sum(log_prob, axis=(1, 2, 3))


def elbo(view: View) -> Float[Array, "B"]:
    """Negative evidence lower bound, nats, from one posterior sample. Cost: one pass and a decode.

    -log p(x | z) + KL( q(z | x) || p(z) ), beta 1 whatever it was in training.
    Source: Kingma and Welling 2014, equation 7 with L = 1.
    """
    return view.terms.loss(1.0)


def kl(view: View) -> Float[Array, "B"]:
    """KL( q(z | x) || p(z) ), nats, summed over latent dimensions. Cost: one encode."""
    return view.terms.kl


SCORES: dict[str, Score] = {
    "mse": mse,
    "bce": bce,
    "elbo": elbo,
    "kl": kl,
    "typicality": typicality,
}

# These ask for a posterior with a width; an autoencoder has none.
NEEDS_POSTERIOR = ("elbo", "kl", "typicality")


def psnr(view: View) -> Float[Array, "B"]:
    """Peak signal-to-noise ratio of the reconstruction, dB."""
    return image_quality.psnr(view.x, view.x_hat)


def ssim(view: View) -> Float[Array, "B"]:
    """Structural similarity of image and reconstruction, at most 1."""
    return image_quality.ssim(view.x, view.x_hat)


def noisy_mse(view: View) -> Float[Array, "B"]:
    """Mean squared error between the clean image and the reconstruction of its noisy version."""
    return image_quality.mse(view.x, view.x_hat_noisy)


def reconstruction(view: View) -> Float[Array, "B"]:
    """-log p(x | z) of one posterior sample, nats: the training loss's first term."""
    return view.terms.reconstruction


# Figures of the model, not of abnormality; they share the pass with the scores.
FIGURES: dict[str, Score] = {
    "psnr": psnr,
    "ssim": ssim,
    "noisy_mse": noisy_mse,
    "reconstruction": reconstruction,
}

COLUMNS = SCORES | FIGURES
