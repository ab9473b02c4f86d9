"""The score `fusion`: the mean of several scores on a common scale.

Scores have different units. So each score is first converted to its surprise: how unusual its value is
among normal images, as a logit. The fused score is the mean of the surprises. It needs no test images.

The validation normals fix the scale, and the calibration normals fix the threshold. So the scale is fixed
when the calibration normals are scored, the calibration normals are exchangeable with normal test images,
and the conformal p-value of `fusion` is as valid as that of any other score. If the same images fixed scale
and threshold, they would look more normal than new images.

m validation normals, k different scores of them, N images.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from vae_jax.errors import UserError

# Differences between scores below this share of the largest score are float32 rounding errors.
_ROUNDING = 1e-6


def fuse_scores(
    normals: Mapping[str, Float[np.ndarray, "m"]], scores: Mapping[str, Float[np.ndarray, "N"]]
) -> Float[np.ndarray, "N"]:
    """Computes the mean over the scores of their `surprise`, in nats.

    Args:
        normals: scores of the validation normals, by name; these scores are fused.
        scores: the same scores of the images to score; other scores are ignored.

    Returns:
        The fused score; 0 is the median of normal images. NaN where a score is NaN.

    Raises:
        UserError: if there is no validation normal, or if one of its scores is not finite.
    """
    return np.mean([surprise(normals[name], scores[name]) for name in normals], axis=0)


def surprise(
    normals: Float[np.ndarray, "m"], scores: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """Returns a smooth version of log((1 - p) / p), where p is the share of normals with such a high score.

    The i-th of the m sorted normals gets log(i / (m + 1 - i)), the logit of the conformal p-value just
    above its score. Between two normals the logit is interpolated, and normals with equal scores share the
    mean of their logits. An image with a lower score than all normals gets the logit of the lowest normal,
    since it does not matter how much more normal it is.

    Beyond the highest normal, where anomalies are, the rank would be the same for all images. There an
    excess of e standard deviations of the normals over the highest normal adds log(1 + e). This is a Pareto
    tail with p near 1 / (m (1 + e)). It keeps the order of anomalies. As it is heavy, one score with a very
    large excess does not hide the other scores.

    Raises:
        UserError: if there is no normal, or if one of the normals has a score that is not finite.
    """
    scale = fit_surprise(normals)
    excess = np.maximum(scores - scale.highest, 0) / scale.unit
    return np.interp(scores, scale.values, scale.logits) + np.log1p(excess)


@dataclasses.dataclass(frozen=True)
class SurpriseScale:
    """What `surprise` keeps of the normals.

    Attributes:
        values: different scores of the normals, in increasing order.
        logits: surprise of each of them.
        highest: highest score of a normal.
        unit: standard deviation of the normals, which is the unit of an excess over the highest one.
    """

    values: Float[np.ndarray, "k"]
    logits: Float[np.ndarray, "k"]
    highest: float
    unit: float


def fit_surprise(normals: Float[np.ndarray, "m"]) -> SurpriseScale:
    """Returns the scale of `surprise`, which describes the curve.

    Raises:
        UserError: if there is no normal, or if one of the normals has a score that is not finite.
    """
    if not len(normals):
        raise UserError(
            "fusion needs validation normals, but there are none; raise data.val_fraction"
        )
    if not np.isfinite(normals).all():
        num_bad = int((~np.isfinite(normals)).sum())
        raise UserError(
            f"{num_bad} of {len(normals)} validation scores are not finite numbers; remove such a score "
            "from scoring.fusion, or train a model with finite scores"
        )
    values, group = np.unique(normals, return_inverse=True)
    rank = np.arange(1, len(normals) + 1)
    logits = np.log(rank / rank[::-1])
    # `group` is in the order of the normals; sorted, it is in the order of the ranks.
    means = np.bincount(np.sort(group), weights=logits) / np.bincount(group)
    unit = max(normals.std(), _ROUNDING * np.abs(normals).max(), np.finfo(np.float32).tiny)
    return SurpriseScale(values, means, float(values[-1]), float(unit))
