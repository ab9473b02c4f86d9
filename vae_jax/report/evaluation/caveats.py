"""Reasons to doubt the results of a run, derived from the results themselves."""

import math
from collections.abc import Iterator
from typing import Any

from scipy import stats

from vae_jax.report.evaluation import new_images
from vae_jax.report.evaluation.model_caveats import (
    check_posterior,
    check_reconstructions,
    check_rollbacks,
)
from vae_jax.report.evaluation.ranking import rank_results
from vae_jax.report.numerals import format_percent, format_rate
from vae_jax.score_names import is_baseline

_MAX_NAMED = 3  # duplicates that a caveat names; it only counts the others
# The achieved false-alarm rate contradicts the promised one if a rate at least as high is less probable.
_MIN_PROBABILITY = 0.01
# Expected number of calibration normals above the threshold; below it the threshold is not reliable.
_MIN_EXPECTED_ALARMS = 5


def list_caveats(
    results: dict[str, Any], decision: str, promised_rate: float | None = None
) -> list[str]:
    """Returns one text for each reason to doubt the results.

    Args:
        results: content of `results.json`.
        decision: name of the score that decides.
        promised_rate: false-alarm rate that the quantile rule promises; None for another rule.
    """
    caveats = [
        *_compare_with_baselines(results, decision),
        *_find_inverted_scores(results),
        *_check_view(results.get("dataset", {}).get("view", {})),
        *_check_duplicates(results.get("dataset", {}).get("split", {})),
        *check_rollbacks(results),
        *check_posterior(results),
        *check_reconstructions(results),
    ]
    if promised_rate is not None:
        caveats += _check_false_alarms(results, decision, promised_rate)
    caveats += new_images.list_caveats(results)
    if results.get("dataset", {}).get("counts", {}).get("test_anomaly") == 0:
        caveats.append(
            "The test set contains no anomaly: how well anomalies are detected cannot be measured."
        )
    return caveats


def _check_view(view: dict[str, Any]) -> Iterator[str]:
    """Says how much of the test images is out of view, and how many anomalies with it."""
    lost = view.get("anomalies_out_of_view", 0)
    if lost:
        have = "has" if lost == 1 else "have"
        yield (
            f"{lost} of {view['masked_anomalies']} anomalies {have} no marked pixel in what the model sees "
            "of their images; they count as anomalies all the same, so those without an alarm are misses."
        )
    if view.get("partial_images"):
        yield (
            f"The model does not see {view['partial_images']} test images whole: on average "
            f"{format_percent(1 - view['mean_share'])} of the area of a test image is out of view, and "
            "defects there cannot be found. data.framing and data.crop decide what is in view."
        )


def _check_duplicates(split: dict[str, Any]) -> Iterator[str]:
    """Names the first few images that were left out of training because test images equal them."""
    count = split.get("duplicates_left_out", 0)
    if count:
        files = list(split["duplicate_files"].items())[:_MAX_NAMED]
        named = "; ".join(f"{file} equals {other}" for file, other in files)
        more = f"; and {count - len(files):,} more" if count > len(files) else ""
        yield (
            f"{count:,} images outside the test set are duplicates of test images, and were left out of "
            f"training: {named}{more}. Copies of other images, which are not equal, may be there too."
        )


def _compare_with_baselines(results: dict[str, Any], decision: str) -> Iterator[str]:
    deciding = results.get("detection", {}).get(decision, {}).get("auroc")
    if not deciding:
        return
    # A baseline score that ranks anomalies *below* normal images separates them just as well. One that
    # cannot be told from guessing separates nothing, and is no rival even of a model that guesses.
    separations = sorted(
        (
            (max(row.auroc["value"], 1 - row.auroc["value"]), row.name, row.auroc["value"])
            for row in rank_results(results)
            if row.is_baseline and row.auroc and row.name != decision
            if not row.auroc["low"] <= 0.5 <= row.auroc["high"]
        ),
        reverse=True,
    )
    competitive = [
        f"{name} ({format_rate(auroc)}{', which ranks anomalies below normals' if auroc < 0.5 else ''})"
        for separation, name, auroc in separations
        if separation >= deciding["low"]
    ]
    if deciding["low"] <= 0.5:
        yield _describe_chance(decision, deciding, competitive)
        return
    if not competitive:
        return
    separate = "separates" if len(competitive) == 1 else "separate"
    interval = f"[{format_rate(deciding['low'])}, {format_rate(deciding['high'])}]"
    value = f"{format_rate(deciding['value'])} {interval}"
    begin = f"{', '.join(competitive)} {separate} anomalies from normal images as well as"
    if is_baseline(decision):
        yield (
            f"{begin} {decision} does, the baseline that decides: its AUROC is {value}. A rule that is "
            "simpler may be enough; check the data for a shortcut."
        )
        return
    yield (
        f"{begin} the model does: the AUROC of {decision} is {value}. Perhaps the network adds nothing to "
        "what such a simple baseline already sees; check the data for a shortcut."
        + _name_better_rule(separations, deciding["value"])
    )


def _describe_chance(decision: str, auroc: dict[str, float], baselines: list[str]) -> str:
    """Says that the deciding score does not find anomalies, and names the baselines that do."""
    relation = "worse than chance" if auroc["high"] < 0.5 else "not better than chance"
    return (
        f"The model is {relation}: do not use it. The AUROC of {decision} is "
        f"{format_rate(auroc['value'])} [{format_rate(auroc['low'])}, {format_rate(auroc['high'])}], and "
        "guessing gives 0.5."
        + (f" Simple baselines are not: {', '.join(baselines)}." if baselines else "")
    )


def _name_better_rule(separations: list[tuple[float, str, float]], deciding: float) -> str:
    """Returns how to decide by the best baseline, if one that may decide is better."""
    for _, name, auroc in separations:
        if is_baseline(name) and auroc > deciding:
            return (
                f" A run can decide by it, with scoring.decision={name}; to choose it for this number "
                "would be a choice made on test data."
            )
    return ""


def _find_inverted_scores(results: dict[str, Any]) -> Iterator[str]:
    for name, entry in results.get("detection", {}).items():
        auroc = entry.get("auroc")
        if auroc and auroc["high"] < 0.5:
            yield (
                f"{name} ranks anomalies below normal images: its AUROC is "
                f"{format_rate(auroc['value'])} [{format_rate(auroc['low'])}, "
                f"{format_rate(auroc['high'])}]. To invert the score because of this number would be "
                "a choice made on test data."
            )


def _check_false_alarms(
    results: dict[str, Any], decision: str, promised_rate: float
) -> Iterator[str]:
    """Compares the achieved false-alarm rate, and its interval, with the promised one.

    The threshold is a quantile of n calibration scores. If these and the scores of new normal images are
    exchangeable, the rate on new images is random: Beta(k, n + 1 - k) with k = floor(alpha (n + 1)) (Vovk
    2012, "Conditional validity of inductive conformal predictors", Proposition 2b). So an interval of the
    test images alone that excludes the promise need not contradict it.
    """
    counts = results.get("dataset", {}).get("counts", {})
    n, n_test = counts.get("calibration", 0), counts.get("test_normal", 0)
    k = math.floor(promised_rate * (n + 1) + 1e-9)  # in floats 0.29 * 100 is a little less than 29
    if k < 1:
        return  # in this case the threshold itself comes with a warning
    if promised_rate * n < _MIN_EXPECTED_ALARMS:
        low, high = stats.beta.ppf([0.025, 0.975], k, n + 1 - k)
        yield (
            f"Only {n} calibration images determine the threshold: it promises a false-alarm rate of "
            f"{format_percent(promised_rate)}, but the rate on new normal images may be anywhere "
            f"between {format_percent(low)} and {format_percent(high)} (95 % interval)."
        )
    achieved = results.get("decision", {}).get("false_alarms")
    if not achieved or achieved["low"] <= promised_rate <= achieved["high"]:
        return
    alarms = stats.betabinom(n_test, k, n + 1 - k)
    num_flagged = round(achieved["value"] * n_test)
    is_above = achieved["value"] > promised_rate
    probability = alarms.sf(num_flagged - 1) if is_above else alarms.cdf(num_flagged)
    yield (
        f"{decision} flags {format_percent(achieved['value'])} of the normal test images (95 % interval "
        f"{format_percent(achieved['low'])} to {format_percent(achieved['high'])}), but its threshold "
        f"promises {format_percent(promised_rate)}. "
        + _explain_false_alarms(
            n, is_above=is_above, is_chance=bool(probability >= _MIN_PROBABILITY)
        )
    )


def _explain_false_alarms(num_calibration: int, *, is_above: bool, is_chance: bool) -> str:
    if is_chance:
        return (
            f"The choice of the {num_calibration} calibration images may explain the difference; more of "
            "them would make the rate more certain."
        )
    if is_above:
        return (
            "Chance alone does not explain the difference: the calibration images do not resemble the "
            "normal images of the test set. Perhaps there are near-duplicates between training and "
            "calibration images, which look more normal than new images do (give them one group), or the "
            "test images come from another source."
        )
    return (
        "Chance alone does not explain the difference: the calibration images are less normal than the "
        "normal images of the test set, and anomalies are missed that a lower threshold would find. "
        "Perhaps there are near-duplicates between training and test images (give them one group), or the "
        "calibration images come from another source."
    )
