import numpy as np
import pytest

from vae_jax.score_names import COMBINATIONS, select_member_names
from vae_jax.scoring.combinations import combine_scores
from vae_jax.scoring.fusion import surprise

MEMBERS = ("features_cosine", "features_joint", "bands_place_nll")
FUSION_MEMBERS = {name: select_member_names(name, MEMBERS) for name in COMBINATIONS}


def draw(count, seed):
    """Scores of every member of every combination, each on a scale of its own."""
    rng = np.random.default_rng(seed)
    names = sorted({member for members in FUSION_MEMBERS.values() for member in members})
    return {name: (i + 1) * rng.gamma(2.0, size=count) for i, name in enumerate(names)}


@pytest.fixture
def normals():
    return draw(30, 0)


@pytest.fixture
def scores():
    return draw(12, 1)


def fuse(name, normals, scores):
    return np.mean([surprise(normals[m], scores[m]) for m in FUSION_MEMBERS[name]], axis=0)


@pytest.mark.parametrize("name", ["fusion", "fusion_mean", "fusion_max", "fusion_contrast"])
def test_a_fusion_is_the_mean_surprise_of_its_own_members(name, normals, scores):
    combined = combine_scores(name, MEMBERS, normals, scores)
    np.testing.assert_allclose(combined, fuse(name, normals, scores))


def test_hedge_is_the_larger_of_the_fused_means_and_maxima(normals, scores):
    expected = np.maximum(*(fuse(f"fusion_{part}", normals, scores) for part in ("mean", "max")))
    np.testing.assert_allclose(combine_scores("hedge", MEMBERS, normals, scores), expected)


def test_harmonic_is_the_harmonic_mean_of_the_p_values_of_three_fusions(normals, scores):
    inverse_p = []
    for part in ("mean", "max", "contrast"):
        fused_normals = fuse(f"fusion_{part}", normals, normals)
        fused = fuse(f"fusion_{part}", normals, scores)
        inverse_p.append(1 + np.exp(surprise(fused_normals, fused)))
    expected = np.log(np.mean(inverse_p, axis=0))
    np.testing.assert_allclose(combine_scores("harmonic", MEMBERS, normals, scores), expected)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_a_member_that_the_model_does_not_support_is_left_out(name, normals, scores):
    def without(columns):
        return {n: v for n, v in columns.items() if not n.startswith("features_joint")}

    members = tuple(member for member in MEMBERS if member != "features_joint")
    expected = combine_scores(name, members, normals, scores)
    combined = combine_scores(name, MEMBERS, without(normals), scores)
    np.testing.assert_allclose(combined, expected)


@pytest.mark.parametrize("name", COMBINATIONS)
def test_an_image_has_the_same_score_whatever_other_images_and_scores_there_are(
    name, normals, scores
):
    expected = combine_scores(name, MEMBERS, normals, scores)
    others = {f"other_{n}": v for n, v in scores.items()}
    first = {n: v[:3] for n, v in scores.items()}
    np.testing.assert_allclose(combine_scores(name, MEMBERS, normals, first | others), expected[:3])
