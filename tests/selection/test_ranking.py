import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from vae_jax.score_names import AGGREGATES
from vae_jax.selection import ranking
from vae_jax.selection.aggregation import WHOLE_IMAGE
from vae_jax.selection.ranking import Candidate


def make_candidate(name, power, family="model"):
    return Candidate(name, family, find_ending(name), {"noise": power})


def find_ending(name):
    ending = name.rpartition("_")[2]
    return ending if ending in AGGREGATES else WHOLE_IMAGE


def test_power_is_the_mean_over_kinds_of_the_auroc_of_sklearn():
    rng = np.random.default_rng(0)
    clean = {name: rng.normal(size=30) for name in ("cosine_max", "nll_max")}
    kinds = ["noise"] * 10 + ["blur"] * 25
    corrupted = {name: rng.normal(1, size=35) for name in clean}
    candidates = ranking.measure_candidates(clean, corrupted, kinds, {})
    assert [candidate.name for candidate in candidates] == list(clean)
    for candidate in candidates:
        expected = {
            kind: roc_auc_score(
                [0] * 30 + [1] * kinds.count(kind),
                [*clean[candidate.name], *corrupted[candidate.name][np.array(kinds) == kind]],
            )
            for kind in ("noise", "blur")
        }
        assert candidate.power_per_kind == pytest.approx(expected)
        assert candidate.power == pytest.approx(np.mean(list(expected.values())))


def test_a_score_that_finds_the_corruptions_is_chosen():
    rng = np.random.default_rng(1)
    clean = {name: rng.normal(size=50) for name in ("blind", "weak", "strong", "inverted")}
    shift = {"blind": 0, "weak": 0.7, "strong": 2, "inverted": -3}
    corrupted = {name: rng.normal(shift[name], size=60) for name in clean}
    candidates = ranking.measure_candidates(clean, corrupted, ["noise", "blur"] * 30, {})
    assert ranking.choose(candidates) == "strong"
    (ranked,) = ranking.rank_groups(candidates).values()
    assert [candidate.name for candidate in ranked] == ["strong", "weak", "blind", "inverted"]


def test_each_family_and_each_aggregation_is_ranked_alone():
    candidates = [
        make_candidate("nll_mean", 0.6),
        make_candidate("nll_max", 0.9),
        make_candidate("cosine_mean", 0.7),
        make_candidate("place_gaussian_max", 0.99, family="place_gaussian"),
        make_candidate("kl", 0.8),
    ]
    groups = {
        group: [candidate.name for candidate in ranked]
        for group, ranked in ranking.rank_groups(candidates).items()
    }
    assert groups == {
        ("model", "mean"): ["cosine_mean", "nll_mean"],
        ("model", "max"): ["nll_max"],
        ("place_gaussian", "max"): ["place_gaussian_max"],
        ("model", WHOLE_IMAGE): ["kl"],
    }


@pytest.mark.parametrize(
    ("names", "families"),
    [
        (("nll_mean", "nll_max"), ("model", "model")),
        (("nll_mean", "pca_mean"), ("model", "pca")),
        ((), ()),
    ],
)
def test_candidates_of_several_groups_or_none_are_refused(names, families):
    candidates = [
        make_candidate(name, 0.7, family) for name, family in zip(names, families, strict=True)
    ]
    with pytest.raises(ValueError, match=f"belong to {len(names)} groups"):
        ranking.choose(candidates)


def test_baselines_get_the_family_that_is_named():
    columns = {"nll_max": np.arange(3.0), "patchcore_max": np.arange(3.0)}
    candidates = ranking.measure_candidates(
        columns,
        columns,
        ["blur"] * 3,
        {"nll_max": "max", "patchcore_max": "max"},
        families={"patchcore_max": "patchcore"},
    )
    assert [candidate.group for candidate in candidates] == [
        ("model", "max"),
        ("patchcore", "max"),
    ]


def test_equally_good_candidates_keep_their_order():
    assert ranking.choose([make_candidate("b", 0.8), make_candidate("a", 0.8)]) == "b"


@pytest.mark.parametrize(
    ("corrupted", "kinds", "message"),
    [
        ({"kl": np.zeros(2)}, ["blur"] * 2, "corrupted normals only: kl, mse"),
        ({"mse": np.zeros(2)}, ["blur"] * 3, "mse has 2 values for 3 corruptions"),
        ({"mse": np.zeros(0)}, [], "no corruption"),
        ({"mse": np.array([0, np.nan])}, ["blur"] * 2, "NaN"),
    ],
)
def test_columns_that_cannot_be_ranked_are_refused(corrupted, kinds, message):
    with pytest.raises(ValueError, match=message):
        ranking.measure_candidates({"mse": np.zeros(3)}, corrupted, kinds, {})


def test_agreement_is_the_rank_correlation_over_common_scores():
    power = {"a": 0.9, "b": 0.7, "c": 0.7, "d": 0.5, "only_synthetic": 0.1}
    auroc = {"only_real": 0.3, "d": 0.6, "c": 0.55, "b": 0.8, "a": 0.81}
    expected = stats.spearmanr([0.9, 0.7, 0.7, 0.5], [0.81, 0.8, 0.55, 0.6]).statistic
    agreement = ranking.rank_agreement(power, auroc)
    assert agreement == {"spearman": pytest.approx(expected), "num_scores": 4}


@pytest.mark.parametrize("power", [{}, {"a": 0.5, "b": 0.6}, {"a": 0.5, "b": 0.5, "c": 0.5}])
def test_no_agreement_is_claimed_of_two_scores_or_of_equal_ones(power):
    auroc = {"a": 0.6, "b": 0.7, "c": 0.8}
    assert ranking.rank_agreement(power, auroc) == {"spearman": None, "num_scores": len(power)}
