import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.metrics import detection
from vae_jax.scoring import calibration
from vae_jax.scoring.fusion import fuse_scores, surprise


def test_surprise_is_the_logit_of_the_conformal_p_value_just_above_a_normal():
    normals = np.random.default_rng(0).normal(size=40)
    p = calibration.p_values(normals, normals + 1e-9)
    expected = np.minimum(np.log((1 - p) / p), np.log(40))
    np.testing.assert_allclose(surprise(normals, normals), expected, atol=1e-6)


def test_surprise_of_normals_is_symmetric_around_zero():
    normals = np.random.default_rng(0).gamma(2.0, size=99)
    surprises = surprise(normals, np.sort(normals))
    assert surprises[49] == 0
    np.testing.assert_allclose(surprises, -surprises[::-1], atol=1e-12)


def test_surprise_rises_without_limit_and_never_falls():
    normals = np.random.default_rng(0).normal(size=30)
    scores = np.linspace(-5, 1e4, 100_001)
    surprises = surprise(normals, scores)
    assert (np.diff(surprises) >= 0).all()
    assert (np.diff(surprises[scores > normals.min()]) > 0).all()
    at_the_highest = surprise(normals, np.array([normals.max(), np.nextafter(normals.max(), 9)]))
    np.testing.assert_allclose(at_the_highest, np.log(30))


def test_surprise_does_not_depend_on_the_unit_of_a_score():
    normals, scores = np.random.default_rng(0).normal(size=(2, 50))
    scores = 10 * scores
    np.testing.assert_allclose(
        surprise(1e3 * normals + 7, 1e3 * scores + 7), surprise(normals, scores), rtol=1e-9
    )


def test_a_score_that_is_equal_for_all_normals_has_surprise_zero_for_normals():
    normals = np.full(20, 3.0)
    np.testing.assert_allclose(surprise(normals, np.array([3.0, 2.0])), 0, atol=1e-12)
    assert surprise(normals, np.array([3.1])) > 5


def test_normals_with_equal_scores_share_the_mean_of_their_logits():
    surprises = surprise(np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0]))
    np.testing.assert_allclose(surprises, np.mean([np.log(2 / 3), np.log(3 / 2)]), atol=1e-12)


def test_an_infinite_score_is_the_most_surprising_and_nan_stays_nan():
    normals = np.random.default_rng(0).normal(size=20)
    highest, lowest, undefined = surprise(normals, np.array([np.inf, -np.inf, np.nan]))
    assert highest == np.inf
    np.testing.assert_allclose(lowest, -np.log(20))
    assert np.isnan(undefined)


def test_one_very_large_excess_does_not_hide_two_scores_that_detect_an_anomaly():
    normals = dict(zip("abc", np.random.default_rng(0).normal(size=(3, 200)), strict=True))
    images = np.array([[1e3, 0, 0], [0, 20.0, 20.0]])
    fused = fuse_scores(normals, dict(zip("abc", images.T, strict=True)))
    assert fused[1] > fused[0]


def test_fused_score_is_the_mean_of_the_surprises():
    rng = np.random.default_rng(0)
    normals = {"a": rng.normal(size=30), "b": rng.gamma(2.0, size=30)}
    scores = {"a": rng.normal(size=8), "b": rng.gamma(2.0, size=8), "c": np.full(8, np.nan)}
    expected = (surprise(normals["a"], scores["a"]) + surprise(normals["b"], scores["b"])) / 2
    np.testing.assert_allclose(fuse_scores(normals, scores), expected)


def test_fusion_detects_anomalies_that_only_one_score_detects():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 1], 300)
    shift = {"a": np.repeat([0, 4, 0], 300), "b": np.repeat([0, 0, 4], 300)}
    normals = {name: rng.normal(size=100) for name in shift}
    scores = {name: rng.normal(size=900) + shift[name] for name in shift}
    best_single = max(detection.auroc(values, labels) for values in scores.values())
    assert detection.auroc(fuse_scores(normals, scores), labels) > max(0.9, best_single + 0.1)


@pytest.mark.parametrize("num_val", [3, 40])
def test_fused_score_keeps_the_promised_false_alarm_rate(num_val):
    """On average over splits it is exact: 3 of the 60 possible ranks are flagged."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 3))  # makes the scores dependent
    flagged = []
    for _ in range(1_000):
        draw = np.exp(rng.normal(size=(num_val + 59 + 20, 3)) @ mixing)
        val, held_out, test = np.split(draw, [num_val, num_val + 59])
        normals = dict(zip("abc", val.T, strict=True))
        fused = [fuse_scores(normals, dict(zip("abc", x.T, strict=True))) for x in (held_out, test)]
        flagged.append(np.mean(calibration.p_values(*fused) <= 0.05))
    error = np.std(flagged) / np.sqrt(len(flagged))
    assert abs(np.mean(flagged) - 0.05) < 3 * error
    assert error < 0.003


@pytest.mark.parametrize(
    ("normals", "message"),
    [([], "raise data.val_fraction"), ([1.0, np.nan], "1 of 2 validation scores")],
)
def test_validation_normals_without_a_scale_are_refused(normals, message):
    with pytest.raises(UserError, match=message):
        surprise(np.array(normals), np.array([1.0]))
