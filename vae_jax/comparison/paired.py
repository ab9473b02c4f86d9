"""Differences of AUROCs between runs that were tested on the same images, and over seeds."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from vae_jax.comparison.multiple_tests import correct_by_holm
from vae_jax.comparison.settings import Setting
from vae_jax.comparison.stored_run import StoredRun
from vae_jax.metrics.auroc_difference import subtract_aurocs
from vae_jax.metrics.delong import delong_paired
from vae_jax.metrics.seeds import summarise_runs


@dataclasses.dataclass(frozen=True)
class Difference:
    """AUROC of one run minus that of another, on the same test images.

    Attributes:
        first: the run whose AUROC is the minuend.
        second: the run whose AUROC is subtracted.
        value: the difference.
        low: lower end of its 95 % interval over test images.
        high: upper end.
        p_value: two-sided p-value of the hypothesis that the AUROCs are equal.
        p_holm: the p-value, corrected for all differences of the comparison.
    """

    first: StoredRun
    second: StoredRun
    value: float
    low: float
    high: float
    p_value: float
    p_holm: float

    @property
    def is_clear(self) -> bool:
        """Whether the difference is more than chance explains, at 5 % for all differences together.

        The interval must exclude 0 too: close to an AUROC of 1 it is more careful than the p-value.
        """
        return self.p_holm < 0.05 and not self.low <= 0 <= self.high


@dataclasses.dataclass(frozen=True)
class SeedDifference:
    """Mean difference of the AUROCs of two settings over the seeds that both have.

    Attributes:
        first: the setting whose AUROC is the minuend.
        second: the setting whose AUROC is subtracted.
        summary: mean, spread and 95 % t-interval, as `summarise_runs` returns them.
    """

    first: Setting
    second: Setting
    summary: dict[str, float | int]


def compare_pairs(pairs: Sequence[tuple[StoredRun, StoredRun]]) -> list[Difference]:
    """Returns the differences of those pairs that have the same test images, with corrected p-values."""
    measured = [(a, b, measures) for a, b in pairs if (measures := _measure(a, b)) is not None]
    corrected = correct_by_holm([measures["p_value"] for *_, measures in measured])
    return [
        Difference(a, b, *(measures[key] for key in ("value", "low", "high", "p_value")), p_holm)
        for (a, b, measures), p_holm in zip(measured, corrected, strict=True)
    ]


def compare_settings(settings: Sequence[Setting]) -> list[Difference]:
    """Returns the difference of every two runs of different settings with the same seed and test images.

    Two settings that have no seed in common are compared by all their runs with the same test images.
    """
    return compare_pairs(
        [pair for a, b in itertools.combinations(settings, 2) for pair in _pair_runs(a, b)]
    )


def compare_over_seeds(
    settings: Sequence[Setting], differences: Sequence[Difference]
) -> list[SeedDifference]:
    """Returns the mean difference of every two settings that have two or more seeds in common.

    Args:
        settings: all settings.
        differences: what `compare_settings` returns for them.
    """
    setting_of = {id(run): number for number, s in enumerate(settings) for run in s.runs}
    values: dict[tuple[int, int], list[float]] = {}
    for difference in differences:
        if difference.first.seed == difference.second.seed:
            pair = setting_of[id(difference.first)], setting_of[id(difference.second)]
            values.setdefault(pair, []).append(difference.value)
    return [
        SeedDifference(settings[a], settings[b], summarise_runs(np.array(of_pair)))
        for (a, b), of_pair in values.items()
        if len(of_pair) > 1
    ]


def _pair_runs(a: Setting, b: Setting) -> Iterator[tuple[StoredRun, StoredRun]]:
    shared = {run.seed for run in a.runs} & {run.seed for run in b.runs}
    for first, second in itertools.product(a.runs, b.runs):
        if first.seed == second.seed or not shared:
            yield first, second


def _measure(a: StoredRun, b: StoredRun) -> dict[str, float] | None:
    """Returns the difference of two runs; None if they cannot be compared image by image."""
    if a.test_set != b.test_set:
        return None
    groups = b.groups if a.groups is None else a.groups
    units = np.arange(len(a.labels)) if groups is None else groups
    if any(len(np.unique(units[a.labels == label])) < 2 for label in (0, 1)):
        return None  # a variance needs two groups of both labels
    compared = a.scores, b.scores, a.labels, groups
    return subtract_aurocs(*compared) | {"p_value": delong_paired(*compared)["p_value"]}
