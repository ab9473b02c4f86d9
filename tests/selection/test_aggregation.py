import pytest

from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.selection.aggregation import find_aggregation


def make_scoring(aggregate="mean", fusion=("features_cosine", "bands_place_nll", "features_joint")):
    scoring = default().scoring
    scoring.aggregate, scoring.fusion = aggregate, fusion
    return scoring


@pytest.mark.parametrize(
    ("name", "aggregation"),
    [
        ("features_cosine_max", "max"),
        ("bands_place_nll_contrast", "contrast"),
        ("mse_top_k", "top_k"),
        ("mse", "mean"),
        ("ssim", "mean"),
        ("knn", "whole image"),
        ("elbo", "whole image"),
        ("ms_ssim", "whole image"),
        ("features_joint", "whole image"),
        ("fusion_mean", "mean"),
        ("fusion_max", "max"),
        ("fusion_contrast", "contrast"),
        ("hedge", "mean + max"),
        ("harmonic", "mean + max + contrast"),
    ],
)
def test_a_score_has_the_aggregation_of_its_name_or_of_its_members(name, aggregation):
    assert find_aggregation(name, make_scoring()) == aggregation


def test_a_name_without_an_aggregate_has_that_of_the_config():
    scoring = make_scoring("top_k")
    assert find_aggregation("mse", scoring) == "top_k"
    assert find_aggregation("fusion", scoring) == "top_k"


@pytest.mark.parametrize(
    ("members", "aggregation"),
    [
        (("mse", "ssim", "knn"), "mean"),
        (("ssim_max", "mse"), "mean + max"),
        (("mse_max", "cosine_max"), "max"),
        (("knn", "elbo"), "whole image"),
    ],
)
def test_fusion_has_the_aggregation_that_its_members_share(members, aggregation):
    assert find_aggregation("fusion", make_scoring(fusion=members)) == aggregation


def test_an_unknown_score_is_refused():
    with pytest.raises(UserError, match="no score 'mze'"):
        find_aggregation("mze", make_scoring())
