import itertools

import pytest

from vae_jax import score_names
from vae_jax.errors import UserError
from vae_jax.score_names import OBSERVATIONS, ScoreName, parse_score_name

NAMES = score_names.list_score_names(OBSERVATIONS)
MAPS = [
    str(ScoreName(observation, measure))
    for observation, measures in score_names.MAPS.items()
    for measure in measures
]


@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_every_name_is_parsed_into_its_parts_and_written_again(observation):
    measures = score_names.MEASURES[observation]
    for name, measure in zip(score_names.list_score_names([observation]), measures, strict=True):
        assert parse_score_name(name) == ScoreName(observation, measure)
        assert str(parse_score_name(name)) == name
        prefix = "" if observation == "pixels" else f"{observation}_"
        assert name == f"{prefix}{measure}"


def test_no_two_scores_have_the_same_name_with_or_without_an_aggregate():
    with_aggregates = [
        f"{name}_{aggregate}" for name, aggregate in itertools.product(MAPS, score_names.AGGREGATES)
    ]
    others = [*score_names.COMBINATIONS, *score_names.BASELINES]
    names = [*NAMES, *with_aggregates, *others]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("aggregate", score_names.AGGREGATES)
def test_a_measure_with_a_map_may_end_in_an_aggregate_and_no_other(aggregate):
    for name in NAMES:
        full_name = f"{name}_{aggregate}"
        if name in MAPS:
            parsed = parse_score_name(full_name)
            assert (str(parsed), parsed.aggregate, parsed.has_map) == (full_name, aggregate, True)
            assert parsed == parse_score_name(name).with_aggregate(aggregate)
        else:
            assert parse_score_name(name).with_aggregate(aggregate) == parse_score_name(name)
            with pytest.raises(UserError, match=f"there is no score '{full_name}'"):
                parse_score_name(full_name)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("features_cosin", "features_cosine"),
        ("feature_joint", "features_joint"),
        ("bands_placenll", "bands_place_nll"),
        ("mahalanobiss", "mahalanobis"),
    ],
)
def test_a_wrong_name_is_refused_with_the_most_similar_one(name, suggestion):
    with pytest.raises(UserError) as error:
        parse_score_name(name)
    message = str(error.value)
    assert message.startswith(f"there is no score {name!r}; valid: mse, ")
    assert message.endswith(f"did you mean {suggestion}?")
    assert "\n" not in message


@pytest.mark.parametrize(
    "name",
    ["", "features", "features_", "_mse", "mse_", "mse_max_max", "bands_joint", "fusion", "pca"],
)
def test_what_is_not_a_score_of_a_model_is_refused(name):
    with pytest.raises(UserError, match="there is no score"):
        parse_score_name(name)


def test_combinations_read_their_members_under_their_own_aggregates():
    members = ("features_cosine", "bands_mse_max", "features_joint")
    expected = {
        "fusion": members,
        "fusion_mean": ("features_cosine_mean", "bands_mse_mean", "features_joint"),
        "fusion_max": ("features_cosine_max", "bands_mse_max", "features_joint"),
        "fusion_contrast": ("features_cosine_contrast", "bands_mse_contrast", "features_joint"),
    }
    for name, names in expected.items():
        assert tuple(score_names.select_member_names(name, members)) == names
    for name, parts in (
        ("hedge", ("fusion_mean", "fusion_max")),
        ("harmonic", ("fusion_mean", "fusion_max", "fusion_contrast")),
    ):
        names = score_names.select_member_names(name, members)
        assert len(names) == len(set(names))
        assert set(names) == {member for part in parts for member in expected[part]}


def test_every_combination_has_members_that_are_single_scores():
    for name in score_names.COMBINATIONS:
        assert score_names.is_combination(name)
        for member in score_names.select_member_names(name, ("mse", "kl")):
            assert str(parse_score_name(member)) == member


def test_combinations_and_baselines_are_no_scores_of_a_model():
    assert not {*score_names.COMBINATIONS, *score_names.BASELINES} & set(NAMES)
    for name in NAMES:
        assert not score_names.is_combination(name)
        assert not score_names.is_baseline(name)


def test_baselines_on_features_exist_only_where_features_are_observed():
    without = score_names.list_baselines(("pixels", "bands"))
    assert set(score_names.BASELINES) - set(without) == set(score_names.FEATURE_BASELINES)
    assert tuple(score_names.list_baselines(("features",))) == score_names.BASELINES


def test_a_baseline_that_decides_is_computed_though_it_is_not_named():
    assert score_names.list_scores(("mse",), "pca") == ["mse", "pca"]
    assert score_names.list_scores(("mse", "pca"), "pca") == ["mse", "pca"]
    assert score_names.list_scores(("mse", "kl"), "kl") == ["mse", "kl"]
    assert score_names.list_scores(("mse",), "") == ["mse"]
