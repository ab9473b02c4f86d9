import numpy as np
import pytest
from scipy import stats

from vae_jax.errors import UserError
from vae_jax.scoring.fusion import surprise
from vae_jax.scoring.rule_fusion import harmonic, hedge


def draw_scores(names, count, seed):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=count) for name in names}


def test_hedge_is_the_larger_score_of_each_image():
    larger = hedge(np.array([1.0, -2.0, np.nan]), np.array([0.5, 3.0, 1.0]))
    np.testing.assert_array_equal(larger, [1.0, 3.0, np.nan])


def test_the_score_is_scipys_harmonic_mean_of_smooth_p_values():
    normals, scores = draw_scores("abc", 40, 0), draw_scores("abc", 25, 1)
    p = [1 / (1 + np.exp(surprise(normals[name], scores[name]))) for name in "abc"]
    np.testing.assert_allclose(harmonic(normals, scores), -np.log(stats.hmean(p)), rtol=1e-9)


def test_one_member_keeps_the_order_of_its_scores():
    normals, scores = draw_scores("a", 40, 0), draw_scores("a", 25, 1)
    order = np.argsort(scores["a"], kind="stable")
    assert (np.diff(harmonic(normals, scores)[order]) >= 0).all()


def test_the_score_is_finite_for_huge_scores_and_rises_without_limit():
    normals = draw_scores("ab", 40, 0)
    scores = {"a": np.array([0.0, 1e3, 1e30, 1e300]), "b": np.zeros(4)}
    combined = harmonic(normals, scores)
    assert np.isfinite(combined).all()
    assert (np.diff(combined) > 1).all()


def test_one_small_p_value_is_enough_and_normals_stay_low():
    normals = draw_scores("abc", 200, 0)
    scores = {"a": np.array([9.0, 0.0, -9.0]), "b": np.zeros(3), "c": np.zeros(3)}
    abnormal, usual, lowest = harmonic(normals, scores)
    assert abnormal > harmonic(normals, normals).max()
    assert 0 <= lowest < usual < 1


def test_an_infinite_score_is_the_most_surprising_and_nan_stays_nan():
    normals = draw_scores("ab", 40, 0)
    scores = {"a": np.array([np.inf, -np.inf, np.nan]), "b": np.zeros(3)}
    highest, lowest, undefined = harmonic(normals, scores)
    assert highest == np.inf
    assert np.isfinite(lowest)
    assert np.isnan(undefined)


def test_the_names_of_the_normals_choose_the_members():
    normals, scores = draw_scores("ab", 40, 0), draw_scores("abc", 25, 1)
    expected = harmonic(normals, {name: scores[name] for name in "ab"})
    np.testing.assert_array_equal(harmonic(normals, scores), expected)


def test_no_validation_normal_is_refused():
    with pytest.raises(UserError, match="needs validation normals"):
        harmonic({"a": np.zeros(0)}, {"a": np.zeros(3)})
