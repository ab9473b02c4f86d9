"""One number from several scores, by a rule that was fixed before any test image was seen.

Scores have different units, so each is first put on one scale: how surprising its value is among normal
images, as a logit. Their mean is the fused score.

The normal images that set the scale are the validation normals, and those that set the threshold are the
calibration normals. So the fused score is a fixed function of an image by the time the calibration normals
meet it, these are exchangeable with normal test images, and a conformal p-value of `fusion` keeps its
promise exactly as that of any other score does. With one set for both, calibration images would have
judged themselves and looked more normal than new ones.

m validation normals, N images.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from vae_jax.errors import UserError

# Below this share of the largest value, differences between scores are float32 rounding.
_ROUNDING = 1e-6


def fuse(
    normals: Mapping[str, Float[np.ndarray, "m"]], scores: Mapping[str, Float[np.ndarray, "N"]]
) -> Float[np.ndarray, "N"]:
    """Surprise among validation normals, mean over `scoring.fusion`; 0 is an even chance, in nats.

    Args:
        normals: each score of `scoring.fusion` of the validation normals.
        scores: the same scores of the images to judge.

    Returns:
        Mean over the scores of `surprise`; NaN where a score is NaN.

    Raises:
        UserError: without a validation normal, or if one of their scores is not finite.
    """
    return np.mean([surprise(normals[name], scores[name]) for name in normals], axis=0)


def surprise(
    normals: Float[np.ndarray, "m"], scores: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """Returns log((1 - p) / p) of the share p of normals that score as high or higher, made smooth.

    The i-th of the m sorted normals gets log(i / (m + 1 - i)), its conformal p-value just above itself;
    between two of them the logit is interpolated, and equal ones share their mean. An image below all
    normals gets what the lowest of them gets: how much more normal it is does not matter.

    A rank says nothing beyond the last normal, where anomalies are: all would tie at log(m). There the
    excess over it, e standard deviations of the normals, adds log(1 + e): a Pareto tail, p near
    1 / (m (1 + e)). That keeps the order of anomalies, and being so heavy it keeps one score with an
    enormous excess from drowning the others.

    Raises:
        UserError: without a normal, or if one of their scores is not finite.
    """
    if not len(normals):
        raise UserError(
            "fusion needs validation normals and there are none; raise data.val_fraction"
        )
    if not np.isfinite(normals).all():
        num_bad = int((~np.isfinite(normals)).sum())
        raise UserError(f"{num_bad} of {len(normals)} validation scores are not finite numbers")
    values, group = np.unique(normals, return_inverse=True)
    rank = np.arange(1, len(normals) + 1)
    logits = np.log(rank / rank[::-1])
    # `group` numbers the normals as they come; sorted, it runs along the ranks.
    means = np.bincount(np.sort(group), weights=logits) / np.bincount(group)
    highest = values[-1]
    unit = max(normals.std(), _ROUNDING * np.abs(normals).max(), np.finfo(np.float32).tiny)
    excess = np.maximum(scores - highest, 0) / unit
    return np.interp(scores, values, means) + np.log1p(excess)
