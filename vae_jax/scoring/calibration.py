"""P-values and thresholds of scores, from calibration normals alone.

A higher score means a more anomalous image. Calibration normals are not used in training.

n calibration normals, N images to decide about.

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
    """Limits of a score, outside which an image is anomalous.

    Attributes:
        upper: an image with a higher score is anomalous.
        lower: an image with a lower score is anomalous, too; None if there is no lower limit.
        rule: the rule behind the limits, in words.
        warning: one sentence if the limits do not keep the configured rate, otherwise None.
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
                f"{num_nan} of {len(scores)} scores are NaN; no decision is possible about these images"
            )
        anomalous = scores > self.upper
        return anomalous if self.lower is None else anomalous | (scores < self.lower)


def p_values(
    calibration: Float[np.ndarray, "n"], scores: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "N"]:
    """Returns p = (1 + number of calibration normals that score as high or higher) / (n + 1).

    For a normal image that is exchangeable with the calibration normals, p <= rate has probability at most
    `rate`, whatever the distribution of the score is.

    Raises:
        UserError: if there is no calibration normal, if its score is not finite, or if a score is NaN.
    """
    _check_finite(calibration)
    if np.isnan(scores).any():
        raise UserError(
            f"{int(np.isnan(scores).sum())} of {len(scores)} scores are NaN; they have no p-value"
        )
    num = len(calibration)
    below = np.searchsorted(np.sort(calibration), scores, side="left")
    return (1 + num - below) / (num + 1)


def quantile(calibration: Float[np.ndarray, "n"], false_alarm_rate: float) -> Threshold:
    """Returns the threshold above which a score has a p-value of at most the false-alarm rate.

    With few calibration normals, n < 1 / rate - 1, no p-value is that small, because the smallest one is
    1 / (n + 1). Then the highest calibration score is the threshold, and the warning contains the rate that
    this threshold promises.

    Raises:
        UserError: if there is no calibration normal, or if its score is not finite.
    """
    _check_finite(calibration)
    num = len(calibration)
    # The same division as in the p-values, so that rounding is the same.
    num_above = int(np.sum(np.arange(1, num + 2) / (num + 1) <= false_alarm_rate))
    warning = None
    if not num_above:
        warning = (
            f"{num} calibration normals cannot promise a false-alarm rate of {false_alarm_rate:g}: "
            f"the smallest possible rate is 1/{num + 1} = {1 / (num + 1):.3g}, and it is used instead; a "
            f"rate of {false_alarm_rate:g} needs {math.ceil(1 / false_alarm_rate - 1e-9) - 1} of them"
        )
    used_rate = max(false_alarm_rate, 1 / (num + 1))
    return Threshold(
        upper=float(np.sort(calibration)[num - max(num_above, 1)]),
        lower=None,
        rule=f"quantile of {num} calibration normals at false-alarm rate {used_rate:.3g}",
        warning=warning,
    )


def mean_std(calibration: Float[np.ndarray, "n"], k: float) -> Threshold:
    """Returns the limits mu - k sigma and mu + k sigma of the calibration normals.

    A score that is too low is anomalous, too. The limits promise no rate unless the scores are Gaussian.
    The variance sigma^2 is the sum of squares divided by n.

    Raises:
        UserError: if there is no calibration normal, or if its score is not finite.
    """
    _check_finite(calibration)
    mu, sigma = float(calibration.mean()), float(calibration.std())
    return Threshold(
        upper=mu + k * sigma,
        lower=mu - k * sigma,
        rule=f"mean +- {k:g} standard deviations of {len(calibration)} calibration normals",
        warning=None,
    )


Rule = Callable[[Float[np.ndarray, "n"], ml_collections.ConfigDict], Threshold]

# Name of a rule -> function of the calibration scores and the `scoring` group of the config.
THRESHOLD_RULES: dict[str, Rule] = {
    "quantile": lambda scores, scoring_config: quantile(scores, scoring_config.false_alarm_rate),
    "mean_std": lambda scores, scoring_config: mean_std(scores, scoring_config.mean_std_k),
}


def benjamini_hochberg(p: Float[np.ndarray, "N"], rate: float) -> Bool[np.ndarray, "N"]:
    """Returns which images to flag so that the false discovery rate is at most `rate`.

    The false discovery rate is the share of normals among the flagged images of a whole batch; it is an
    expectation over batches. A p-value alone bounds the share of flagged images among the normals.

    Source: Benjamini and Hochberg 1995; valid for conformal p-values by Bates et al. 2023, theorem 2.
    """
    order = np.argsort(p)
    passes = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / len(p))
    flagged = np.zeros(len(p), bool)
    flagged[order[: passes[-1] + 1 if len(passes) else 0]] = True
    return flagged


def false_alarm_interval(num_flagged: int, num_normals: int) -> dict[str, float]:
    """Returns the achieved false-alarm rate as `value`, with `low` and `high` of its 95 % interval.

    The interval is the exact binomial interval of Clopper and Pearson 1934.

    Raises:
        ValueError: if there are no normals, or if more normals are flagged than there are.
    """
    if not 0 <= num_flagged <= num_normals or not num_normals:
        raise ValueError(f"{num_flagged} of {num_normals} normals are flagged; this is not a rate")
    num_passed = num_normals - num_flagged
    return {
        "value": num_flagged / num_normals,
        "low": float(betaincinv(num_flagged, num_passed + 1, 0.025)) if num_flagged else 0.0,
        "high": float(betaincinv(num_flagged + 1, num_passed, 0.975)) if num_passed else 1.0,
    }


def _check_finite(calibration: Float[np.ndarray, "n"]) -> None:
    if not len(calibration):
        raise UserError("there are no calibration normals; raise data.calibration_fraction")
    broken = int(np.sum(~np.isfinite(calibration)))
    if broken:
        raise UserError(
            f"{broken} of {len(calibration)} calibration scores are not finite; they give no threshold. "
            "Choose another score, or train a model with finite scores"
        )
