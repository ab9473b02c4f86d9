"""One sentence at the top of the page: what the decisions of the run are worth."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vae_jax.report.evaluation.ranking import rank_results
from vae_jax.report.numerals import format_percent, format_rate
from vae_jax.scoring.score_table import ScoreTable


def count_decisions(scores: ScoreTable) -> dict[str, int]:
    """Returns the counts of the confusion matrix; an empty dict if `scores.csv` holds no decision.

    Returns:
        "found" and "missed" anomalies, "false_alarms" and "passed" normal images.
    """
    if "anomalous" not in scores.columns:
        return {}
    flagged, anomaly = scores.columns["anomalous"] > 0, scores.labels == 1
    counts = {
        "found": flagged & anomaly,
        "missed": ~flagged & anomaly,
        "false_alarms": flagged & ~anomaly,
        "passed": ~flagged & ~anomaly,
    }
    return {name: int(np.sum(which)) for name, which in counts.items()}


def summarise_verdict(results: dict[str, Any], counts: dict[str, int]) -> str:
    """Returns the verdict; "" if nothing was decided.

    Args:
        results: content of `results.json`.
        counts: the confusion matrix, as `count_decisions` returns it.
    """
    decision = results.get("decision", {})
    deciding = decision.get("score", "")
    sentence = _describe_counts(counts, decision.get("promised"))
    auroc = results.get("detection", {}).get(deciding, {}).get("auroc")
    if not auroc:
        return sentence
    value = f"AUROC {format_rate(auroc['value'])}"
    if auroc["high"] < 0.5:
        problem = f"{deciding} ranks anomalies below normal images ({value})"
        return f"Worse than chance, do not use it: {problem}. {sentence}"
    if auroc["low"] <= 0.5:
        problem = f"{deciding} cannot be told from guessing ({value})"
        return f"Not better than chance, do not use it: {problem}. {sentence}"
    return f"{sentence} {_compare(results, deciding, auroc)}".strip()


def _describe_counts(counts: dict[str, int], promised: float | None) -> str:
    if not counts:
        return ""
    anomalies = counts["found"] + counts["missed"]
    normals = counts["false_alarms"] + counts["passed"]
    parts = []
    if anomalies:
        parts.append(f"finds {counts['found']:,} of {anomalies:,} anomalies")
    if normals:
        rate = format_percent(counts["false_alarms"] / normals)
        promise = "" if promised is None else f"; {format_percent(promised)} were promised"
        alarms = f"{counts['false_alarms']:,} of {normals:,} normal images ({rate}{promise})"
        parts.append(f"raises a false alarm for {alarms}")
    return f"The run {' and '.join(parts)}." if parts else ""


def _compare(results: dict[str, Any], deciding: str, auroc: dict[str, float]) -> str:
    """Compares the deciding score with the best of the baselines."""
    baselines: Sequence[tuple[float, str]] = [
        (max(row.auroc["value"], 1 - row.auroc["value"]), row.name)
        for row in rank_results(results)
        if row.is_baseline and row.auroc and row.name != deciding
    ]
    ranked = (
        f"{deciding} ranks anomalies above normal images with AUROC {format_rate(auroc['value'])}"
    )
    if not baselines:
        return f"{ranked}."
    separation, name = max(baselines)
    relation = "better than" if separation < auroc["low"] else "no better than"
    if separation > auroc["high"]:
        relation = "worse than"
    return f"{ranked}, {relation} the best baseline, {name} ({format_rate(separation)})."
