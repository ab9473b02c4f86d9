"""Scores of labelled images against their labels: the sections and rows that every evaluation writes.

N images.
"""

import dataclasses

from vae_jax import results as results_lib
from vae_jax.data.examples import Examples
from vae_jax.metrics.clusters import number_groups
from vae_jax.report.evaluation import caveats
from vae_jax.scoring.decision import Decision
from vae_jax.scoring.role_scores import Columns


@dataclasses.dataclass(frozen=True)
class Judgement:
    """How well scores and decisions agree with the labels.

    Attributes:
        sections: the sections `detection`, `decision`, `baselines`, `differences` and `groups`.
        rows: content of scores.csv, one dict per image.
    """

    sections: dict[str, dict]
    rows: list[dict]


def judge_columns(
    test: Examples,
    columns: Columns,
    baseline_columns: Columns,
    decision: Decision,
) -> Judgement:
    """Compares scores and decisions with labels; without both labels nothing is ranked.

    Args:
        test: the images, one row per whole image.
        columns: scores of the images; those with a threshold in `decision` are described.
        baseline_columns: scores of baselines, which may also be among `columns`.
        decision: thresholds of the scores, p-values and flags.
    """
    names = list(decision.thresholds)
    compared = {name: columns[name] for name in names} | baseline_columns
    rankings = results_lib.rank_columns(test, compared)
    promise = {} if decision.promised_rate is None else {"promised": decision.promised_rate}
    sections = {
        "detection": {
            name: results_lib.measure_detection(test, columns[name], threshold, rankings.get(name))
            for name, threshold in decision.thresholds.items()
        },
        "decision": {"score": decision.score, "rule": decision.rule}
        | promise
        | results_lib.measure_decision(test, decision.anomalous),
        "baselines": {
            name: rankings[name]
            for name in baseline_columns
            if name not in names and name in rankings
        },
        "differences": results_lib.compare_aurocs(test, compared, rankings, decision.score),
        "groups": describe_groups(test),
    }
    return Judgement(sections, results_lib.list_rows(test, compared, decision))


def describe_groups(test: Examples) -> dict:
    """Returns which test images belong to one group, so that runs can be compared image by image.

    Returns:
        The `number` of groups and, unless every image is a group of its own, the number of the group of
        each image as `of_images`, in the order of scores.csv.
    """
    numbers = number_groups(test.groups, len(test))
    number = int(numbers.max()) + 1
    return {"number": number} | ({"of_images": numbers.tolist()} if number < len(test) else {})


def list_warnings(results: dict, decision: Decision) -> list[str]:
    """Returns every sentence of warning about the results once."""
    warnings = [threshold.warning for threshold in decision.thresholds.values()]
    warnings += caveats.list_caveats(results, decision.score, decision.promised_rate)
    return list(dict.fromkeys(warning for warning in warnings if warning))
