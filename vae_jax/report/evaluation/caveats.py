"""Reasons to doubt the results of a run, derived from the results themselves."""

import math
from collections.abc import Iterator
from typing import Any

from scipy import stats

from vae_jax.report.evaluation.ranking import rank_results
from vae_jax.report.numerals import format_percent, format_rate

# The achieved false-alarm rate contradicts the promised one if a rate at least as high is less probable.
_MIN_PROBABILITY = 0.01
# Below this share of active latent dimensions most of the latent code is unused.
_MIN_ACTIVE_SHARE = 0.1
# Nats of KL; below it reconstructions hardly depend on the image.
_MIN_KL = 5.0
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
        *_check_posterior(results),
    ]
    if promised_rate is not None:
        caveats += _check_false_alarms(results, decision, promised_rate)
    if results.get("dataset", {}).get("counts", {}).get("test_anomaly") == 0:
        caveats.append(
            "The test set contains no anomaly: how well anomalies are detected cannot be measured."
        )
    return caveats


def _compare_with_baselines(results: dict[str, Any], decision: str) -> Iterator[str]:
    model = results.get("detection", {}).get(decision, {}).get("auroc")
    if not model:
        return
    # A baseline score that ranks anomalies *below* normal images separates them just as well.
    separations = sorted(
        (
            (max(row.auroc["value"], 1 - row.auroc["value"]), row.name, row.auroc["value"])
            for row in rank_results(results)
            if row.is_baseline and row.auroc
        ),
        reverse=True,
    )
    competitive = [
        f"{name} ({format_rate(auroc)}{', which ranks anomalies below normals' if auroc < 0.5 else ''})"
        for separation, name, auroc in separations
        if separation >= model["low"]
    ]
    if competitive:
        separate = "separates" if len(competitive) == 1 else "separate"
        yield (
            f"{', '.join(competitive)} {separate} anomalies from normal images as well as the model "
            f"does: the AUROC of {decision} is {format_rate(model['value'])} "
            f"[{format_rate(model['low'])}, {format_rate(model['high'])}]. Perhaps the network adds "
            "nothing to what such a simple baseline already sees; check the data for a shortcut."
        )


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


def _check_posterior(results: dict[str, Any]) -> Iterator[str]:
    latent = results.get("latent")
    if not latent:
        return
    active, total = latent["active_units"], len(latent["kl_per_dimension"])
    nats = sum(latent["kl_per_dimension"])
    if active >= max(1, _MIN_ACTIVE_SHARE * total):
        return
    information = (
        f"{active} of {total} latent dimensions carry information about the image, "
        f"{nats:.2g} nats in total"
    )
    if nats < _MIN_KL:
        yield (
            f"The posterior has collapsed: {information}. Reconstructions hardly depend on the image, "
            "and scores of the latent code mean little. Lower objective.beta, increase it more slowly, "
            "or train longer."
        )
    else:
        yield (
            f"Most of the latent code is unused: {information}. A smaller model.latent_dim would be "
            "enough; a lower objective.beta would use more dimensions."
        )


def _check_false_alarms(
    results: dict[str, Any], decision: str, promised_rate: float
) -> Iterator[str]:
    """Compares the achieved false-alarm rate with the promised one.

    The threshold is a quantile of n calibration scores. If these and the scores of new normal images are
    exchangeable, the rate on new images is random: Beta(k, n + 1 - k) with k = floor(alpha (n + 1)) (Vovk
    2012, "Conditional validity of inductive conformal predictors", Proposition 2b).
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
    fpr = results.get("detection", {}).get(decision, {}).get("fpr")
    if fpr is not None and n_test:
        alarms = stats.betabinom(n_test, k, n + 1 - k)
        if alarms.sf(round(fpr * n_test) - 1) < _MIN_PROBABILITY:
            yield (
                f"{decision} flags {format_percent(fpr)} of the normal test images, but its threshold "
                f"promises {format_percent(promised_rate)}. Chance alone does not explain the "
                "difference: the calibration images do not resemble the normal images of the test set."
            )
