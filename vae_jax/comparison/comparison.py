"""All that a comparison of runs shows, computed once."""

import dataclasses
from collections.abc import Sequence

from vae_jax.comparison.best_baseline import BestBaseline, find_best_baseline
from vae_jax.comparison.cautions import list_cautions
from vae_jax.comparison.over_datasets import DatasetRanking, rank_methods, rank_scores
from vae_jax.comparison.paired import (
    Difference,
    SeedDifference,
    compare_over_seeds,
    compare_settings,
)
from vae_jax.comparison.settings import Setting, group_runs
from vae_jax.comparison.stored_run import StoredRun


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs beside each other.

    Attributes:
        settings: the settings, each with its runs.
        baselines: best baseline of each run, in the order of `list_runs`; None for a run without one.
        differences: paired differences of runs with the same test images.
        seed_differences: mean differences of settings over seeds.
        methods: configs apart from their dataset, ranked over datasets.
        scores: scores and baselines that all runs share, ranked over datasets.
        cautions: what must not be concluded.
    """

    settings: list[Setting]
    baselines: list[BestBaseline | None]
    differences: list[Difference]
    seed_differences: list[SeedDifference]
    methods: DatasetRanking
    scores: DatasetRanking
    cautions: list[str]

    def list_runs(self) -> list[tuple[Setting, StoredRun]]:
        """Returns every run with its setting, setting by setting."""
        return [(setting, run) for setting in self.settings for run in setting.runs]


def compare_runs(runs: Sequence[StoredRun]) -> Comparison:
    """Compares runs.

    Raises:
        UserError: if two runs have the same config and the same seed.
    """
    settings = group_runs(runs)
    differences = compare_settings(settings)
    return Comparison(
        settings,
        [find_best_baseline(run) for setting in settings for run in setting.runs],
        differences,
        compare_over_seeds(settings, differences),
        rank_methods(settings),
        rank_scores(settings),
        list_cautions(settings, differences),
    )
