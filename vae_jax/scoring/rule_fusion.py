"""Rules that combine scores of different aggregations, whose best one is not known in advance.

The mean of a map suits diffuse anomalies, its maximum small ones. Both rules here stay near the better one
without a look at an anomaly.

m validation normals, N images.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from scipy.special import log_expit, logsumexp

from vae_jax.scoring.fusion import surprise


def hedge(
    mean_scores: Float[np.ndarray, "N"], max_scores: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """Returns the larger of two fused scores of each image: that of means and that of maxima of maps.

    Both must be on one scale, as fused scores are (`fusion.fuse_scores`). NaN where one of them is NaN.
    """
    return np.maximum(mean_scores, max_scores)


def harmonic(
    normals: Mapping[str, Float[np.ndarray, "m"]], scores: Mapping[str, Float[np.ndarray, "N"]]
) -> Float[np.ndarray, "N"]:
    """Combines scores by the harmonic mean of their smooth p-values.

    With the surprise s_i of score i, its smooth p-value is p_i = 1 / (1 + exp(s_i)). The result is
    log(mean_i 1 / p_i) = log(mean_i (1 + exp(s_i))), the negative logarithm of the harmonic mean. One very
    small p-value is enough for a high result, and scores that depend on each other do no harm.

    Args:
        normals: scores of the validation normals, by name; these scores are combined.
        scores: the same scores of the images to score; other scores are ignored.

    Returns:
        The combined score, at least 0, in nats; higher is more anomalous. NaN where a score is NaN.

    Raises:
        UserError: if there is no validation normal, or if one of its scores is not finite.

    Source: Wilson 2019, "The harmonic mean p-value for combining dependent tests", equation 1 with equal
    weights.
    """
    surprises = np.stack([surprise(normals[name], scores[name]) for name in normals])
    minus_log_p = -log_expit(-surprises)  # log(1 + exp(s_i)), without overflow
    return logsumexp(minus_log_p, axis=0) - np.log(len(surprises))
