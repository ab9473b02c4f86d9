"""Whether there are enough calibration images for the false-alarm rate that a run promises.

n calibration normals.
"""

import math
from typing import Any

import ml_collections
import numpy as np
from scipy import stats

from vae_jax.audit.findings import Finding
from vae_jax.scoring.calibration import quantile

_MIN_EXPECTED_ALARMS = 5  # calibration normals above the threshold; with fewer it is not reliable


def summarise_calibration(
    num_images: int, num_groups: int, scoring_config: ml_collections.ConfigDict
) -> dict[str, Any]:
    """Returns the promised rate, and between which rates the achieved one will be.

    The achieved rate on new normal images follows Beta(k, n + 1 - k) with k = floor(rate (n + 1)), if they
    are exchangeable with the calibration images (Vovk 2012, Proposition 2b).

    Args:
        num_images: n.
        num_groups: number of groups of the calibration images.
        scoring_config: the `scoring` group of the config.
    """
    rate = scoring_config.false_alarm_rate
    k = max(1, math.floor(rate * (num_images + 1) + 1e-9))
    summary = {
        "images": num_images,
        "groups": num_groups,
        "rule": scoring_config.threshold_rule,
        "promised_rate": rate,
        "needed": math.ceil(1 / rate - 1e-9) - 1,
    }
    if num_images and scoring_config.threshold_rule == "quantile":
        low, high = stats.beta.ppf([0.025, 0.975], k, num_images + 1 - k)
        summary["achieved_rate"] = {"low": float(low), "high": float(high)}
    return summary


def find_rate_problems(
    summary: dict[str, Any], scoring_config: ml_collections.ConfigDict
) -> list[Finding]:
    """Returns a finding if the rate cannot be promised, or will be kept only roughly.

    Args:
        summary: from `summarise_calibration`.
        scoring_config: the `scoring` group of the config.
    """
    num = summary["images"]
    if scoring_config.threshold_rule != "quantile" or not num:
        return []
    rate = scoring_config.false_alarm_rate
    warning = quantile(np.arange(num, dtype=float), rate).warning
    if warning:
        return [
            Finding(
                "too_few_calibration_images",
                "warning",
                f"{num} calibration images are too few for a false-alarm rate of {rate:g}",
                f"{warning[0].upper()}{warning[1:]}. Raise data.calibration_fraction, add normal images, "
                "or ask for a higher scoring.false_alarm_rate.",
            )
        ]
    if rate * num < _MIN_EXPECTED_ALARMS:
        achieved = summary["achieved_rate"]
        return [
            Finding(
                "few_calibration_images",
                "notice",
                f"{num} calibration images keep the promised rate only roughly",
                f"{num} calibration images in {summary['groups']} groups determine the threshold. A rate "
                f"of {rate:g} is promised, but the rate on new normal images will be between "
                f"{achieved['low']:.1%} and {achieved['high']:.1%} (95 % interval). More calibration "
                "images make it more certain.",
            )
        ]
    return []
