"""The names of scores: which ones exist, and what the parts of a name mean.

A name has up to three parts, `OBSERVATION_MEASURE_AGGREGATE`, for example `features_cosine_max`:

- the observation that the score is computed on; left out for pixels;
- what is measured;
- how the values of all places become one number. Only a measure that has a value for each place has an
  aggregate; without it, `scoring.aggregate` is used.

This module imports neither JAX nor TFDS, so that a wrong name is reported at once.
"""

import dataclasses
from collections.abc import Sequence

from vae_jax.errors import UserError, suggest_name

OBSERVATIONS = ("pixels", "bands", "features")
AGGREGATES = ("mean", "max", "top_k", "contrast")

# Measures that have a value for each place.
_PIXEL_MAPS = ("mse", "l1", "bce", "ssim", "cosine", "place_nll")
_GRID_MAPS = ("mse", "l1", "cosine", "place_nll", "place_gaussian")
# Measures of a whole image.
_LATENT = ("mahalanobis", "knn", "gmm", "latent_statistics")
_PROBABILISTIC = ("elbo", "kl", "nll", "typicality", "likelihood_regret")
_PIXEL_ONLY = (
    "ms_ssim", "fft", "bits_per_dim", "corrected_nll", "input_complexity", "restoration",
    "elbo_gradient", "kl_gradient",
)  # fmt: skip

MAPS = {"pixels": _PIXEL_MAPS, "bands": _GRID_MAPS, "features": _GRID_MAPS}
MEASURES = {
    "pixels": (*_PIXEL_MAPS, *_PROBABILISTIC, *_LATENT, *_PIXEL_ONLY),
    "bands": (*_GRID_MAPS, *_PROBABILISTIC, *_LATENT),
    "features": (*_GRID_MAPS, *_PROBABILISTIC, *_LATENT, "joint"),
}

# Scores that combine the scores in `scoring.fusion`. `fusion` takes each of them as it is named, the next
# three take the named aggregate of those that have a value for each place.
FUSIONS = ("fusion", "fusion_mean", "fusion_max", "fusion_contrast")
COMBINATIONS = (*FUSIONS, "hedge", "harmonic")

# Scores without a model, which may decide as well. Those of the first kind exist where the model observes
# features.
FEATURE_BASELINES = ("padim_mean", "padim_max", "patchcore_mean", "patchcore_max")
BASELINES = ("pca", "nearest_neighbour", "band_energy", "band_pca", *FEATURE_BASELINES)


@dataclasses.dataclass(frozen=True)
class ScoreName:
    """The parts of a name.

    Attributes:
        observation: what the score is computed on, a name in OBSERVATIONS.
        measure: what is measured, a name in MEASURES[observation].
        aggregate: name in AGGREGATES; "" if the name has none.
    """

    observation: str
    measure: str
    aggregate: str = ""

    @property
    def has_map(self) -> bool:
        """Whether the measure has a value for each place."""
        return self.measure in MAPS[self.observation]

    def with_aggregate(self, aggregate: str) -> "ScoreName":
        """Returns the same score with an aggregate; a measure of the whole image stays as it is."""
        return dataclasses.replace(self, aggregate=aggregate) if self.has_map else self

    def __str__(self) -> str:
        parts = (
            "" if self.observation == "pixels" else self.observation,
            self.measure,
            self.aggregate,
        )
        return "_".join(part for part in parts if part)


def parse_score_name(name: str) -> ScoreName:
    """Splits the name of a score of a model into its parts.

    Raises:
        UserError: if there is no such score; the message suggests a similar name.
    """
    observation = next((o for o in OBSERVATIONS[1:] if name.startswith(f"{o}_")), "pixels")
    rest = name if observation == "pixels" else name.removeprefix(f"{observation}_")
    if rest in MEASURES[observation]:
        return ScoreName(observation, rest)
    for aggregate in AGGREGATES:
        measure = rest.removesuffix(f"_{aggregate}")
        if measure != rest and measure in MAPS[observation]:
            return ScoreName(observation, measure, aggregate)
    hint = suggest_name(name, list_score_names(OBSERVATIONS))
    raise UserError(
        f"there is no score {name!r}; valid: {', '.join(list_score_names(OBSERVATIONS))}; these may end in "
        f"an aggregate, for example features_cosine_max{f'; {hint}' if hint else ''}"
    )


def list_score_names(observations: Sequence[str]) -> list[str]:
    """Returns the names, without aggregates, of all scores of a model with these observations."""
    return [str(ScoreName(o, measure)) for o in observations for measure in MEASURES[o]]


def is_combination(name: str) -> bool:
    """Returns whether a score combines other scores."""
    return name in COMBINATIONS


def is_baseline(name: str) -> bool:
    """Returns whether a score needs no model."""
    return name in BASELINES


def is_single(name: str) -> bool:
    """Returns whether a score is computed by a model directly: neither a combination nor a baseline."""
    return not (is_combination(name) or is_baseline(name))


def is_score(name: str) -> bool:
    """Returns whether a score of this name exists, of any model or without one."""
    if not is_single(name):
        return True
    try:
        parse_score_name(name)
    except UserError:
        return False
    return True


def list_baselines(observations: Sequence[str]) -> list[str]:
    """Returns the baselines that exist beside a model with these observations."""
    has_features = "features" in observations
    return [name for name in BASELINES if has_features or name not in FEATURE_BASELINES]


def list_scores(names: Sequence[str], decision: str) -> list[str]:
    """Returns the scores to compute: the named ones, and the baseline that decides if it is not named.

    Args:
        names: `scoring.names`.
        decision: `scoring.decision`.
    """
    return list(dict.fromkeys((*names, decision) if is_baseline(decision) else names))


def select_member_names(name: str, members: Sequence[str]) -> list[str]:
    """Returns the scores that a combination is computed from, by their full names.

    Args:
        name: name in COMBINATIONS.
        members: `scoring.fusion`.
    """
    aggregates = {
        "fusion": ("",),
        "fusion_mean": ("mean",),
        "fusion_max": ("max",),
        "fusion_contrast": ("contrast",),
        "hedge": ("mean", "max"),
        "harmonic": ("mean", "max", "contrast"),
    }[name]
    names = [
        str(parse_score_name(member).with_aggregate(aggregate)) if aggregate else member
        for aggregate in aggregates
        for member in members
    ]
    return list(dict.fromkeys(names))


def list_members(names: Sequence[str], members: Sequence[str]) -> list[str]:
    """Returns the scores that the combinations among `names` are computed from, each of them once.

    Args:
        names: names of scores.
        members: `scoring.fusion`.
    """
    combinations = [name for name in names if is_combination(name)]
    all_members = [m for name in combinations for m in select_member_names(name, members)]
    return list(dict.fromkeys(all_members))
