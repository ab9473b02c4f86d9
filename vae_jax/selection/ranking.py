"""Ranks scores by how well they find synthetic corruptions, for a choice that needs no anomaly.

The ranking has measured limits. On five sets with labels its rank correlation with the AUROC of the real
anomalies was between 0.36 and 0.94 among scores of one model. It was wrong about which family of methods is
better (a model, nearest neighbours, a Gaussian of features), and about whether to take the mean or the
highest value of a map: that depends on the size of the real defects, and not of the synthetic ones. So only
scores of one group, which means one family and one aggregation, are ranked with each other.

n clean normals, M corrupted normals.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from vae_jax.metrics.detection import auroc
from vae_jax.selection.aggregation import WHOLE_IMAGE

MODEL_FAMILY = "model"
# A power of 0.5 is that of a score that does not react to corruptions; one near it is no information.
MIN_POWER = 0.55


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A score that may be chosen.

    Attributes:
        name: name of the score.
        family: the method that the score belongs to: `model`, or that of a baseline.
        aggregation: how the values of all places became the score, from `aggregation.find_aggregation`.
        power_per_kind: AUROC of the corruptions of each kind against the clean normals.
    """

    name: str
    family: str
    aggregation: str
    power_per_kind: dict[str, float]

    @property
    def power(self) -> float:
        """Mean AUROC over the kinds of corruption; each kind counts the same."""
        return math.fsum(self.power_per_kind.values()) / len(self.power_per_kind)

    @property
    def group(self) -> tuple[str, str]:
        """Family and aggregation. Only candidates of one group can be compared."""
        return self.family, self.aggregation


def measure_candidates(
    clean: Mapping[str, Float[np.ndarray, "n"]],
    corrupted: Mapping[str, Float[np.ndarray, "M"]],
    kinds: Sequence[str],
    aggregations: Mapping[str, str],
    families: Mapping[str, str] | None = None,
) -> list[Candidate]:
    """Measures how well each score tells corrupted normals from clean ones.

    Args:
        clean: for each score, its values on held-out normals.
        corrupted: for each score, its values on corruptions of these normals.
        kinds: the kind of each corruption.
        aggregations: the aggregation of each score; one that is missing looks at the whole image.
        families: for a score that does not belong to the model, the family that it belongs to.

    Returns:
        A candidate for each score, in the order of `clean`.

    Raises:
        ValueError: if the scores of the two sets differ, if a column does not have one value for each
            corruption, if there is no normal or no corruption, or if a value is NaN.
    """
    if clean.keys() != corrupted.keys():
        different = ", ".join(sorted(clean.keys() ^ corrupted.keys()))
        raise ValueError(f"these scores are of clean or of corrupted normals only: {different}")
    kind_array = np.asarray(kinds)
    candidates = []
    for name, normals in clean.items():
        values = corrupted[name]
        if len(values) != len(kind_array):
            raise ValueError(f"{name} has {len(values)} values for {len(kind_array)} corruptions")
        power_per_kind = {
            kind: _measure_power(normals, values[kind_array == kind])
            for kind in dict.fromkeys(kinds)
        }
        if not power_per_kind:
            raise ValueError("there is no corruption; the ranking needs at least one")
        family = (families or {}).get(name, MODEL_FAMILY)
        aggregation = aggregations.get(name, WHOLE_IMAGE)
        candidates.append(Candidate(name, family, aggregation, power_per_kind))
    return candidates


def rank_groups(candidates: Iterable[Candidate]) -> dict[tuple[str, str], list[Candidate]]:
    """Returns the candidates of each group (family, aggregation), the best first.

    Candidates of equal power stay in the given order.
    """
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda candidate: -candidate.power):
        groups.setdefault(candidate.group, []).append(candidate)
    return groups


def choose(candidates: Iterable[Candidate]) -> str:
    """Returns the name of the best candidate of one group; of equally good ones the first.

    Raises:
        ValueError: if there is no candidate, or if the candidates belong to several groups, which synthetic
            corruptions cannot compare.
    """
    groups = rank_groups(candidates)
    if len(groups) != 1:
        names = ", ".join(f"{family} {aggregation}" for family, aggregation in groups)
        raise ValueError(
            f"candidates belong to {len(groups)} groups ({names}); corruptions rank the scores of one "
            "family and one aggregation only, so choose within each group"
        )
    (ranked,) = groups.values()
    return ranked[0].name


def find_choice(ranked: Sequence[Candidate]) -> str | None:
    """Returns the name of the best candidate of a ranking by `rank_groups`, if there is one.

    The result is None if the candidate has no other beside it, or if its power is below MIN_POWER.
    """
    if len(ranked) < 2 or ranked[0].power < MIN_POWER:
        return None
    return choose(ranked)


def rank_agreement(
    power: Mapping[str, float], auroc: Mapping[str, float]
) -> dict[str, float | int | None]:
    """Compares the ranking by corruptions with that by real anomalies, where labels exist.

    Args:
        power: mean AUROC of the corruptions for each score.
        auroc: AUROC of the real anomalies for each score.

    Returns:
        `spearman`, the rank correlation over the scores that both name; None if there are fewer than three,
        or if all are equal on one side. `num_scores`, the number of these scores.
    """
    names = [name for name in power if name in auroc]
    synthetic, real = (np.array([side[name] for name in names]) for side in (power, auroc))
    spearman = None
    # Two scores agree or disagree; a correlation of them would look like a measurement.
    if len(names) > 2 and np.ptp(synthetic) > 0 and np.ptp(real) > 0:
        spearman = float(stats.spearmanr(synthetic, real).statistic)
    return {"spearman": spearman, "num_scores": len(names)}


def _measure_power(normals: Float[np.ndarray, "n"], values: Float[np.ndarray, "m"]) -> float:
    labels = np.repeat([0, 1], [len(normals), len(values)])
    return auroc(np.concatenate([normals, values]), labels)
