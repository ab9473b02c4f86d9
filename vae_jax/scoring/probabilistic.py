"""Scores that are probabilities: of an image under the model, higher is more abnormal.

B batch, n training normals.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vae_jax.scoring.normals import Normals
from vae_jax.scoring.view import View


def fit_typicality(normals: Normals) -> Float[np.ndarray, ""]:
    """Returns the mean negative ELBO of training normals, nats: an estimate of the model's entropy."""
    return np.float32(normals.column("elbo").mean())


def typicality(view: View) -> Float[Array, "B"]:
    """How far the negative ELBO is from that of training normals, |difference|, nats.

    Too likely is abnormal too: images of a simpler kind often have the greater likelihood. The bound
    stands in for the likelihood. Cost: one pass and a decode, and the fit.
    Source: Nalisnick et al. 2019, "Detecting out-of-distribution inputs to deep generative models
    using typicality", section 3, with M = 1.
    """
    return jnp.abs(view.terms.loss(1.0) - view.reference["typicality"])
