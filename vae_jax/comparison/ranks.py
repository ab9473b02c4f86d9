"""Average ranks over datasets: the Friedman test, and the critical difference of Nemenyi.

Names: `D` datasets, `K` competitors, `P` permutations.

Source: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets".
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata, studentized_range

_PERMUTATIONS = 20_000
_CHUNK = 500  # permutations that are in memory at the same time


@dataclasses.dataclass(frozen=True)
class Ranks:
    """Competitors ranked on each dataset.

    Attributes:
        average: average rank of each competitor; 1 is the best, and ties share the mean of their ranks.
        statistic: the statistic of Friedman, corrected for ties.
        p_value: probability of such a statistic if all competitors are equally good.
        critical_difference: average ranks that differ by this or more differ at 5 %, over all pairs.
    """

    average: Float[np.ndarray, "K"]
    statistic: float
    p_value: float
    critical_difference: float

    @property
    def can_differ(self) -> bool:
        """Whether there are enough datasets for any two average ranks to reach the critical difference."""
        return self.critical_difference < len(self.average) - 1

    def find_cliques(self) -> list[tuple[int, int]]:
        """Returns which neighbours in the order of the ranks cannot be told apart.

        Returns:
            First and last place, counted from 0 for the best average rank, of each largest group whose
            ranks all differ by less than the critical difference; groups of one are left out.
        """
        places = np.sort(self.average)
        cliques: list[tuple[int, int]] = []
        for first, rank in enumerate(places):
            last = int(np.sum(places - rank < self.critical_difference)) - 1
            if last > first and (not cliques or last > cliques[-1][1]):
                cliques.append((first, last))
        return cliques


def rank_competitors(values: Float[np.ndarray, "D K"]) -> Ranks:
    """Ranks competitors on each dataset, and tests whether their average ranks differ.

    The p-value comes from permutations of the ranks within datasets, because the approximations by
    chi-square and F are poor for few datasets.

    Args:
        values: a value of each competitor on each dataset; higher is better.

    Raises:
        ValueError: if there are fewer than two competitors, or no dataset.
    """
    if values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(f"ranks need a dataset and two competitors; found shape {values.shape}")
    ranks = rankdata(-values, axis=1)
    rng = np.random.default_rng(0)
    spread = np.sum(ranks.mean(axis=0) ** 2)
    at_least = 1  # the ranks themselves are one permutation
    for _ in range(_PERMUTATIONS // _CHUNK):
        permuted = rng.permuted(np.broadcast_to(ranks, (_CHUNK, *ranks.shape)), axis=2)
        spreads = np.sum(permuted.mean(axis=1) ** 2, axis=1)
        at_least += int(np.sum(spreads >= spread * (1 - 1e-12)))
    return Ranks(
        ranks.mean(axis=0),
        _compute_friedman(ranks),
        float(at_least / (_PERMUTATIONS + 1)),
        compute_critical_difference(*values.shape),
    )


def compute_critical_difference(num_datasets: int, num_competitors: int) -> float:
    """Returns the critical difference of Nemenyi at 5 %."""
    quantile = studentized_range.ppf(0.95, num_competitors, math.inf) / math.sqrt(2)
    variance = num_competitors * (num_competitors + 1) / (6 * num_datasets)
    return float(quantile * math.sqrt(variance))


def _compute_friedman(ranks: Float[np.ndarray, "D K"]) -> float:
    """Returns the statistic of Friedman; 0 if all competitors tie on every dataset."""
    num_datasets, num_competitors = ranks.shape
    middle = (num_competitors + 1) / 2
    variance = np.sum((ranks - middle) ** 2) / (num_datasets * (num_competitors - 1))
    if variance == 0:
        return 0.0
    return float(num_datasets * np.sum((ranks.mean(axis=0) - middle) ** 2) / variance)
