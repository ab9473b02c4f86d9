"""What a reader must know before believing the numbers, found from the numbers themselves."""

import math
from typing import Any

from scipy import stats

from vae_jax.report.evaluation.ranking import lines
from vae_jax.report.numerals import format_percent, format_rate

UNEXPECTED = 0.01  # probability below which an achieved rate counts as not the promised one
FEW_ACTIVE = 0.1  # share of active latent dimensions below which most of the code lies idle
FEW_NATS = 5.0  # of KL, below which reconstructions hardly depend on the image
FEW_ALARMS = 5  # calibration normals expected above the threshold, below which it is a loose one


def caveats(
    results: dict[str, Any], decision: str, false_alarm_rate: float | None = None
) -> list[str]:
    """Returns one sentence for each reason to doubt a result.

    Args:
        results: the content of `results.json`.
        decision: name of the score behind the decision.
        false_alarm_rate: what the quantile rule promises; None with another rule.
    """
    found = [*_rivals(results, decision), *_inverted(results), *_collapsed(results)]
    if false_alarm_rate is not None:
        found += _promise(results, decision, false_alarm_rate)
    if results.get("dataset", {}).get("counts", {}).get("test_anomaly") == 0:
        found.append("The test set holds no anomaly: detection cannot be measured on it.")
    return found


def _rivals(results: dict[str, Any], decision: str):
    model = results.get("detection", {}).get(decision, {}).get("auroc")
    if not model:
        return
    # A feature that ranks anomalies *below* normals separates them just as well.
    found = {
        line.name: line.auroc["value"] for line in lines(results) if line.is_baseline and line.auroc
    }
    strength = {name: max(value, 1 - value) for name, value in found.items()}
    rivals = sorted((s, name) for name, s in strength.items() if s >= model["low"])[::-1]
    if rivals:
        named = ", ".join(
            f"{name} ({format_rate(found[name])}{', turned round' if found[name] < s else ''})"
            for s, name in rivals
        )
        does = "do as well as" if len(rivals) > 1 else "does as well as"
        yield (
            f"{named} {does} the model: the AUROC of {decision} is {format_rate(model['value'])} "
            f"[{format_rate(model['low'])}, {format_rate(model['high'])}]. The network may add nothing "
            "to what is that easily seen; look for a shortcut in the data."
        )


def _inverted(results: dict[str, Any]):
    for name, entry in results.get("detection", {}).items():
        auroc = entry.get("auroc")
        if auroc and auroc["high"] < 0.5:
            yield (
                f"{name} ranks anomalies below normals: AUROC {format_rate(auroc['value'])} "
                f"[{format_rate(auroc['low'])}, {format_rate(auroc['high'])}]. Turning it round because "
                "of this number would be a choice made on test data."
            )


def _collapsed(results: dict[str, Any]):
    latent = results.get("latent")
    if not latent:
        return
    active, total = latent["active_units"], len(latent["kl_per_dimension"])
    nats = sum(latent["kl_per_dimension"])
    if active >= max(1, FEW_ACTIVE * total):
        return
    if nats < FEW_NATS:
        yield (
            f"The posterior has collapsed: {active} of {total} latent dimensions carry anything of the "
            f"image, {nats:.2g} nats in all. Reconstructions hardly depend on the image, and no score of "
            "the code means much; lower objective.beta, warm it up, or train longer."
        )
    else:
        yield (
            f"Most of the code is unused: {active} of {total} latent dimensions carry what is known of "
            f"the image, {nats:.2g} nats in all. A smaller model.latent_dim would do, or a lower "
            "objective.beta would use more."
        )


def _promise(results: dict[str, Any], decision: str, alpha: float):
    """Compares promised and achieved false-alarm rate.

    With n exchangeable calibration scores the rate at their quantile is itself random,
    Beta(k, n + 1 - k) with k = floor(alpha (n + 1)) (Vovk 2012, "Conditional validity of
    inductive conformal predictors", Proposition 2b).
    """
    counts = results.get("dataset", {}).get("counts", {})
    n, n_test = counts.get("calibration", 0), counts.get("test_normal", 0)
    k = math.floor(alpha * (n + 1) + 1e-9)  # 0.29 * 100 is a hair below 29
    if k < 1:
        return  # the threshold itself carries a warning then
    if alpha * n < FEW_ALARMS:
        low, high = stats.beta.ppf([0.025, 0.975], k, n + 1 - k)
        yield (
            f"Only {n} calibration images set the threshold: at a promised false-alarm rate of "
            f"{format_percent(alpha)}, the rate on new normal images may lie anywhere between "
            f"{format_percent(low)} and {format_percent(high)} (95 % interval)."
        )
    fpr = results.get("detection", {}).get(decision, {}).get("fpr")
    if fpr is not None and n_test:
        alarms = stats.betabinom(n_test, k, n + 1 - k)
        if alarms.sf(round(fpr * n_test) - 1) < UNEXPECTED:
            yield (
                f"{decision} flags {format_percent(fpr)} of the normal test images, promised were "
                f"{format_percent(alpha)}. That is more than chance explains: the calibration images "
                "do not resemble the normal images of the test set."
            )
