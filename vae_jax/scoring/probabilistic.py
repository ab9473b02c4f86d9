"""Scores from the probability of an image under the model.

All scores but `typicality` use the same importance-weighted estimate of the likelihood. It costs
`scoring.importance_samples` decodes, once, however many of these scores are computed.

B batch, N images, H W image, C channels, D = H W C.
"""

import io
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from vae_jax.model.distributions import NUM_GREY_LEVELS
from vae_jax.scoring.view import TrainingNormals, View


def nll(view: View) -> Float[Array, "B"]:
    """Negative log-likelihood, nats, importance-weighted over K samples. Cost: K decodes.

    In expectation it is at most the negative ELBO, and closer to -log p(x).
    Source: Burda et al. 2016, "Importance weighted autoencoders", equation 8.
    """
    return -view.log_likelihood


def bits_per_dim(view: View) -> Float[Array, "B"]:
    """Bits per value of the image under the model. Cost: K decodes, shared with `nll`.

    nll / (D ln 2), plus 8 if the likelihood is a density. A value is one of 256 levels, so it stands for
    an interval of 1/256 in [0, 1], and -log2( p(x) / 256 ) is the code length of the level. The density is
    taken at one point without noise; uniform dequantisation would take its mean over the interval (Theis
    et al. 2016, "A note on the evaluation of generative models", section 3.1). The score ranks images as
    `nll` does.
    """
    per_value = view.num_values * math.log(2)
    offset = math.log2(NUM_GREY_LEVELS) if view.bound.model.likelihood.is_density else 0.0
    return -view.log_likelihood / per_value + offset


def corrected_nll(view: View) -> Float[Array, "B"]:
    """Excess of `nll` over its value at a perfect reconstruction, nats. Cost: `nll`.

    nll + log p(x | best output for x). Even with a perfect decoder, the likelihood of a pixel depends on
    its grey value; this correction removes that dependence. If the best
    log-likelihood is the same for every image (all Gaussians, laplace), the score ranks images as `nll`
    does.
    Source: Chauhan et al. 2022, "Robust outlier detection by de-biasing VAE likelihoods", section 3.1.
    """
    model = view.bound.model
    best = model.log_prob(view.x, model.likelihood.likeliest_raw(view.x))
    return jnp.sum(best, axis=(1, 2, 3)) - view.log_likelihood


def input_complexity(view: View) -> Float[Array, "B"]:
    """`bits_per_dim` minus the bits per value of the image as a PNG. Cost: `nll` and a PNG.

    A simple image is likely under any model. So the score compares the model with a codec that does not
    know the normal images. The header of the PNG, which is the same for every image, is counted.
    Source: Serrà et al. 2020, "Input complexity and out-of-distribution detection with likelihood-based
    generative models", equation 2.
    """
    return bits_per_dim(view) - view.host["input_complexity"] / view.num_values


def png_bits(images: UInt8[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N"]:
    """Returns the size of each image as a PNG with the highest compression, bits."""
    sizes = np.empty(len(images), np.float32)
    for i, image in enumerate(images):
        file = io.BytesIO()
        Image.fromarray(image if image.shape[2] > 1 else image[..., 0]).save(
            file, "png", optimize=True
        )
        sizes[i] = 8 * file.tell()
    return sizes


def fit_typicality(normals: TrainingNormals) -> Float[np.ndarray, ""]:
    """Fits the mean negative ELBO of training normals, nats, an estimate of the entropy of the model."""
    return np.asarray(normals.score("elbo").mean(), np.float32)


def typicality(view: View) -> Float[Array, "B"]:
    """Absolute difference between the negative ELBO and its mean over training normals, nats.

    An image that is too likely is abnormal, too: simpler images often have a higher likelihood than the
    normal ones. The ELBO stands in for the log-likelihood. Cost: one pass and a decode, and the fit.
    Source: Nalisnick et al. 2019, "Detecting out-of-distribution inputs to deep generative models using
    typicality", section 3, with M = 1.
    """
    return jnp.abs(view.terms.negative_elbo - view.fits["typicality"])
