"""What is normal enough: p-values and thresholds from calibration normals alone.

n calibration normals, none of them seen in training; N images to judge. Higher scores are more anomalous.

Source: split (inductive) conformal prediction, Vovk, Gammerman and Shafer 2005; for outlier detection
Bates, Candès, Lei, Romano and Sesia 2023, "Testing for outliers with conformal p-values".
"""

import dataclasses
import math
from collections.abc import Callable

import ml_collections
import numpy as np
from jaxtyping import Bool, Float
from scipy.special import betaincinv

from vae_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Threshold:
    """Where normal ends.

    Attributes:
        upper: an image that scores above it is anomalous.
        lower: an image that scores below it is anomalous too; None for no such limit.
        rule: how it came about, in words.
        warning: one sentence when it does not do what was asked, otherwise None.
    """

    upper: float
    lower: float | None
    rule: str
    warning: str | None

    def flags(self, scores: Float[np.ndarray, "N"]) -> Bool[np.ndarray, "N"]:
        """Returns which images are anomalous.

        Raises:
            UserError: if a score is NaN.
        """
        num_nan = int(np.isnan(scores).sum())
        if num_nan:
            raise UserError(
                f"{num_nan} of {len(scores)} scores are NaN; the model cannot judge them"
            )
        anomalous = scores > self.upper
        return anomalous if self.lower is None else anomalous | (scores < self.lower)


def p_values(
    calibration: Float[np.ndarray, "n"], scores: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """Returns p = (1 + number of calibration normals that score as high or higher) / (n + 1).

    For a normal image that is exchangeable with the calibration normals, p <= rate happens with
    probability at most `rate`, whatever the distribution of the score.

    Raises:
        UserError: without a calibration normal, if one is not finite, or if a score is NaN.
    """
    _check(calibration)
    if np.isnan(scores).any():
        raise UserError(f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN")
    num = len(calibration)
    below = np.searchsorted(np.sort(calibration), scores, side="left")
    return (1 + num - below) / (num + 1)


def quantile(calibration: Float[np.ndarray, "n"], false_alarm_rate: float) -> Threshold:
    """Returns the threshold that a score exceeds exactly when its p-value is at most the rate.

    With n < 1 / rate - 1 not even the smallest p-value, 1 / (n + 1), reaches the rate; then the highest
    calibration score is the threshold, and the warning says which rate that promises.

    Raises:
        UserError: without a calibration normal, or if one is not finite.
    """
    _check(calibration)
    num = len(calibration)
    # By the same division as the p-values, so that rounding cannot part the two.
    num_above = int(np.sum(np.arange(1, num + 2) / (num + 1) <= false_alarm_rate))
    warning = None
    if not num_above:
        warning = (
            f"{num} calibration normals cannot promise a false-alarm rate of {false_alarm_rate:g}: "
            f"the smallest rate possible is 1/{num + 1} = {1 / (num + 1):.3g}, which is in use; "
            f"{false_alarm_rate:g} needs {math.ceil(1 / false_alarm_rate - 1e-9) - 1} of them"
        )
    in_use = max(false_alarm_rate, 1 / (num + 1))
    return Threshold(
        upper=float(np.sort(calibration)[num - max(num_above, 1)]),
        lower=None,
        rule=f"quantile of {num} calibration normals at false-alarm rate {in_use:.3g}",
        warning=warning,
    )


def mean_std(calibration: Float[np.ndarray, "n"], k: float) -> Threshold:
    """Returns mu - k sigma and mu + k sigma of the calibration normals: also too normal is anomalous.

    It promises no rate unless the scores are Gaussian. sigma has n in its denominator.

    Raises:
        UserError: without a calibration normal, or if one is not finite.
    """
    _check(calibration)
    mu, sigma = float(calibration.mean()), float(calibration.std())
    return Threshold(
        upper=mu + k * sigma,
        lower=mu - k * sigma,
        rule=f"mean +- {k:g} standard deviations of {len(calibration)} calibration normals",
        warning=None,
    )


Rule = Callable[[Float[np.ndarray, "n"], ml_collections.ConfigDict], Threshold]

# From calibration scores and the `scoring` group of the configuration to a threshold.
THRESHOLD_RULES: dict[str, Rule] = {
    "quantile": lambda calibration, scoring: quantile(calibration, scoring.false_alarm_rate),
    "mean_std": lambda calibration, scoring: mean_std(calibration, scoring.mean_std_k),
}


def benjamini_hochberg(p: Float[np.ndarray, "N"], rate: float) -> Bool[np.ndarray, "N"]:
    """Returns which images to flag so that at most the share `rate` of the flagged are normal.

    The share is expected, over batches: the false discovery rate of a whole batch of images, where a
    p-value by itself bounds the false alarms among the normals.

    Source: Benjamini and Hochberg 1995; valid for conformal p-values by Bates et al. 2023, theorem 2.
    """
    order = np.argsort(p)
    passes = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / len(p))
    flagged = np.zeros(len(p), bool)
    flagged[order[: passes[-1] + 1 if len(passes) else 0]] = True
    return flagged


def false_alarm_interval(num_flagged: int, num_normals: int) -> dict[str, float]:
    """Returns the achieved false-alarm rate: `value`, and `low` and `high` of its 95 % interval.

    Exact binomial interval, Clopper and Pearson 1934.

    Raises:
        ValueError: if there is no normal, or if more are flagged than there are.
    """
    if not 0 <= num_flagged <= num_normals or not num_normals:
        raise ValueError(f"{num_flagged} of {num_normals} normals flagged; that is no rate")
    num_passed = num_normals - num_flagged
    return {
        "value": num_flagged / num_normals,
        "low": float(betaincinv(num_flagged, num_passed + 1, 0.025)) if num_flagged else 0.0,
        "high": float(betaincinv(num_flagged + 1, num_passed, 0.975)) if num_passed else 1.0,
    }


def _check(calibration: Float[np.ndarray, "n"]) -> None:
    if not len(calibration):
        raise UserError("there is no calibration normal; raise data.calibration_fraction")
    broken = int(np.sum(~np.isfinite(calibration)))
    if broken:
        raise UserError(
            f"{broken} of {len(calibration)} calibration scores are not finite; no threshold can be "
            "set on them"
        )
