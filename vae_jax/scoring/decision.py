"""The decision which test images are anomalous: thresholds, p-values and flags.

N test images, n calibration normals.
"""

import dataclasses
from collections.abc import Sequence

import ml_collections
import numpy as np
from jaxtyping import Bool, Float

from vae_jax.scoring.calibration import (
    THRESHOLD_RULES,
    Threshold,
    benjamini_hochberg,
    p_values,
)
from vae_jax.scoring.role_scores import RoleScores
from vae_jax.scoring.scores import deciding_score


@dataclasses.dataclass(frozen=True)
class Decision:
    """Which test images are anomalous, and why.

    Attributes:
        score: name of the score that decides.
        rule: the rule in words.
        promised_rate: promised share of normal images that are flagged; None if the rule promises none.
        thresholds: threshold of every score, by its name.
        scores: deciding score of each test image.
        p_values: conformal p-value of each test image under the deciding score.
        anomalous: whether each test image is anomalous by the rule.
        calibration: scores of the n calibration normals, for each score with a threshold.
    """

    score: str
    rule: str
    promised_rate: float | None
    thresholds: dict[str, Threshold]
    scores: Float[np.ndarray, "N"]
    p_values: Float[np.ndarray, "N"]
    anomalous: Bool[np.ndarray, "N"]
    calibration: dict[str, Float[np.ndarray, "n"]] = dataclasses.field(default_factory=dict)


def decide(
    names: Sequence[str], role_scores: RoleScores, scoring_config: ml_collections.ConfigDict
) -> Decision:
    """Decides by the scores of calibration normals which test images are anomalous.

    Args:
        names: scores that get a threshold; one of them decides.
        role_scores: scores of the calibration and the test images.
        scoring_config: the `scoring` group of the config.
    """
    calibration, test = role_scores.calibration, role_scores.test
    threshold_rule = THRESHOLD_RULES[scoring_config.threshold_rule]
    thresholds = {name: threshold_rule(calibration[name], scoring_config) for name in names}
    score = deciding_score(scoring_config.decision, names)
    rate = scoring_config.false_alarm_rate
    if scoring_config.false_discovery:
        rule = f"all images together, by Benjamini-Hochberg at a false discovery rate of {rate:g}"
    else:
        rule = f"each image by its threshold, {scoring_config.threshold_rule}"
    test_p_values, anomalous = judge(
        calibration[score], test[score], thresholds[score], scoring_config
    )
    return Decision(
        score=score,
        rule=rule,
        promised_rate=_promised_rate(scoring_config, len(calibration[score])),
        thresholds=thresholds,
        scores=test[score],
        p_values=test_p_values,
        anomalous=anomalous,
        calibration={name: calibration[name] for name in names},
    )


def judge(
    calibration: Float[np.ndarray, "n"],
    scores: Float[np.ndarray, "N"],
    threshold: Threshold,
    scoring_config: ml_collections.ConfigDict,
) -> tuple[Float[np.ndarray, "N"], Bool[np.ndarray, "N"]]:
    """Returns p-value and decision of each image.

    Args:
        calibration: deciding score of the calibration normals.
        scores: deciding score of the images.
        threshold: threshold of this score.
        scoring_config: the `scoring` group of the config.
    """
    p = p_values(calibration, scores)
    if scoring_config.false_discovery:
        return p, benjamini_hochberg(p, scoring_config.false_alarm_rate)
    return p, threshold.flags(scores)


def _promised_rate(scoring_config: ml_collections.ConfigDict, num_calibration: int) -> float | None:
    """Returns the promised false-alarm rate; n calibration normals cannot promise less than 1 / (n + 1)."""
    if scoring_config.false_discovery or scoring_config.threshold_rule != "quantile":
        return None
    return max(scoring_config.false_alarm_rate, 1 / (num_calibration + 1))
