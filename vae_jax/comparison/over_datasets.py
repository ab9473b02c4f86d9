"""Methods, and the scores that all runs share, ranked over datasets. D datasets, K competitors."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from vae_jax.comparison.ranks import Ranks, rank_competitors
from vae_jax.comparison.settings import Setting, label_methods
from vae_jax.comparison.stored_run import StoredRun

# Demšar 2006 advises more than 10 datasets.
ADVISED_DATASETS = 10


@dataclasses.dataclass(frozen=True)
class DatasetRanking:
    """AUROCs of competitors on every dataset, and their average ranks if these mean anything.

    Attributes:
        competitors: names of the competitors.
        datasets: names of the datasets.
        aurocs: mean AUROC of each competitor on each dataset, over its runs there.
        ranks: the average ranks; None if there are too few competitors or datasets.
        problem: why there are no ranks, or why they mean little; "" if neither applies.
        left_out: competitors that are not ranked, because some dataset lacks them.
    """

    competitors: tuple[str, ...]
    datasets: tuple[str, ...]
    aurocs: Float[np.ndarray, "D K"]
    ranks: Ranks | None
    problem: str
    left_out: tuple[str, ...] = ()


def rank_methods(settings: Sequence[Setting]) -> DatasetRanking:
    """Ranks the methods that were run on every dataset, each by its deciding score."""
    labels = label_methods(settings)
    datasets = tuple(dict.fromkeys(setting.dataset for setting in settings))
    runs: dict[tuple[str, str], list[StoredRun]] = {}
    for setting in settings:
        runs.setdefault((setting.dataset, setting.method), []).extend(setting.runs)
    ranked = [method for method in labels if all((name, method) in runs for name in datasets)]
    aurocs = _average(
        datasets, ranked, lambda name, method: [run.auroc["value"] for run in runs[name, method]]
    )
    left_out = tuple(label for method, label in labels.items() if method not in ranked)
    return _rank(
        tuple(labels[method] for method in ranked), datasets, aurocs, left_out, _describe_methods
    )


def rank_scores(settings: Sequence[Setting]) -> DatasetRanking:
    """Ranks the scores and baselines that every run has, except for those that never tell images apart."""
    datasets = tuple(dict.fromkeys(setting.dataset for setting in settings))
    aurocs = {
        name: [run.list_aurocs() for s in settings if s.dataset == name for run in s.runs]
        for name in datasets
    }
    everywhere = [of_run for of_runs in aurocs.values() for of_run in of_runs]
    shared = [name for name in everywhere[0] if all(name in of_run for of_run in everywhere)]
    ranked = [
        score
        for score in shared
        if any(of_run[score]["low"] < of_run[score]["high"] for of_run in everywhere)
    ]
    means = _average(
        datasets, ranked, lambda name, score: [of_run[score]["value"] for of_run in aurocs[name]]
    )
    others = dict.fromkeys(score for of_run in everywhere for score in of_run)
    left_out = tuple(score for score in others if score not in ranked)
    return _rank(tuple(ranked), datasets, means, left_out, _describe_scores)


def _average(
    datasets: Sequence[str],
    competitors: Sequence[str],
    list_values: Callable[[str, str], list[float]],
) -> Float[np.ndarray, "D K"]:
    rows = [
        [float(np.mean(list_values(name, competitor))) for competitor in competitors]
        for name in datasets
    ]
    return np.array(rows, float).reshape(len(datasets), len(competitors))


def _rank(
    competitors: tuple[str, ...],
    datasets: tuple[str, ...],
    aurocs: Float[np.ndarray, "D K"],
    left_out: tuple[str, ...],
    describe_lack: Callable[[int], str],
) -> DatasetRanking:
    num_datasets = len(datasets)
    if len(competitors) < 2:
        problem = describe_lack(len(competitors))
        return DatasetRanking(competitors, datasets, aurocs, None, problem, left_out)
    ranks = rank_competitors(aurocs)
    advice = f"Demšar advises more than {ADVISED_DATASETS} datasets"
    if not ranks.can_differ:
        problem = (
            f"There {_count(num_datasets)}. Ranks of {len(competitors)} competitors over so few mean "
            f"nothing: average ranks would have to differ by {ranks.critical_difference:.1f}, and they can "
            f"differ by {len(competitors) - 1} at most. {advice}. There is therefore no diagram."
        )
        return DatasetRanking(competitors, datasets, aurocs, None, problem, left_out)
    few = num_datasets <= ADVISED_DATASETS
    problem = f"There {_count(num_datasets)}, and {advice}: only large differences can be shown."
    return DatasetRanking(competitors, datasets, aurocs, ranks, problem if few else "", left_out)


def _count(number: int) -> str:
    return "is 1 dataset" if number == 1 else f"are {number} datasets"


def _describe_methods(number: int) -> str:
    found = "No method was" if number == 0 else "Only one method was"
    return (
        f"{found} run on every dataset, so there are no methods to rank. A method is a config apart from "
        "its dataset: runs on different datasets belong to one method if all other fields are equal."
    )


def _describe_scores(number: int) -> str:
    found = "no score" if number == 0 else "only one score"
    return f"All runs together share {found}, so there are no scores to rank."
