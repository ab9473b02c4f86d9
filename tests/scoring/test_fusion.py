import numpy as np
import pytest

from vae_jax import evaluate as evaluate_lib
from vae_jax import train as train_lib
from vae_jax.errors import UserError
from vae_jax.metrics import detection
from vae_jax.scoring import calibration
from vae_jax.scoring.fusion import fuse, surprise


def test_surprise_is_the_logit_of_the_conformal_p_value_just_above_a_normal():
    normals = np.random.default_rng(0).normal(size=40)
    p = calibration.p_values(normals, normals + 1e-9)
    expected = np.minimum(np.log((1 - p) / p), np.log(40))
    np.testing.assert_allclose(surprise(normals, normals), expected, atol=1e-6)


def test_surprise_of_normals_has_its_middle_at_zero():
    normals = np.random.default_rng(0).gamma(2.0, size=99)
    found = surprise(normals, np.sort(normals))
    assert found[49] == 0
    np.testing.assert_allclose(found, -found[::-1], atol=1e-12)


def test_surprise_rises_without_end_and_never_falls():
    normals = np.random.default_rng(0).normal(size=30)
    scores = np.linspace(-5, 1e4, 100_001)
    found = surprise(normals, scores)
    assert (np.diff(found) >= 0).all()
    assert (np.diff(found[scores > normals.min()]) > 0).all()
    at_the_last = surprise(normals, np.array([normals.max(), np.nextafter(normals.max(), 9)]))
    np.testing.assert_allclose(at_the_last, np.log(30))


def test_surprise_does_not_depend_on_the_unit_of_a_score():
    normals, scores = np.random.default_rng(0).normal(size=(2, 50))
    scores = 10 * scores
    np.testing.assert_allclose(
        surprise(1e3 * normals + 7, 1e3 * scores + 7), surprise(normals, scores), rtol=1e-9
    )


def test_a_score_that_is_the_same_for_all_normals_weighs_nothing_for_normals():
    normals = np.full(20, 3.0)
    np.testing.assert_allclose(surprise(normals, np.array([3.0, 2.0])), 0, atol=1e-12)
    assert surprise(normals, np.array([3.1])) > 5


def test_equal_normals_share_their_mean():
    found = surprise(np.array([1.0, 2.0, 2.0, 3.0]), np.array([2.0]))
    np.testing.assert_allclose(found, np.mean([np.log(2 / 3), np.log(3 / 2)]), atol=1e-12)


def test_an_infinite_score_is_the_most_surprising_and_nan_stays_nan():
    normals = np.random.default_rng(0).normal(size=20)
    found = surprise(normals, np.array([np.inf, -np.inf, np.nan]))
    assert found[0] == np.inf
    np.testing.assert_allclose(found[1], -np.log(20))
    assert np.isnan(found[2])


def test_one_enormous_excess_does_not_drown_two_scores_that_see_an_anomaly():
    normals = dict(zip("abc", np.random.default_rng(0).normal(size=(3, 200)), strict=True))
    one, two = np.array([1e3, 0, 0]), np.array([0, 20.0, 20.0])
    fused = fuse(normals, {name: np.array([one[i], two[i]]) for i, name in enumerate("abc")})
    assert fused[1] > fused[0]


def test_fused_score_is_the_mean_of_the_surprises():
    rng = np.random.default_rng(0)
    normals = {"a": rng.normal(size=30), "b": rng.gamma(2.0, size=30)}
    scores = {"a": rng.normal(size=8), "b": rng.gamma(2.0, size=8), "c": np.full(8, np.nan)}
    expected = (surprise(normals["a"], scores["a"]) + surprise(normals["b"], scores["b"])) / 2
    np.testing.assert_allclose(fuse(normals, scores), expected)


def test_fusion_sees_anomalies_that_each_show_in_one_score_alone():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 1], 300)
    shift = {"a": np.repeat([0, 4, 0], 300), "b": np.repeat([0, 0, 4], 300)}
    normals = {name: rng.normal(size=100) for name in shift}
    scores = {name: rng.normal(size=900) + shift[name] for name in shift}
    alone = max(detection.auroc(values, labels) for values in scores.values())
    assert detection.auroc(fuse(normals, scores), labels) > max(0.9, alone + 0.1)


@pytest.mark.parametrize("num_val", [3, 40])
def test_false_alarm_rate_of_the_fused_score_is_the_promised_one(num_val):
    """Over splits, exactly: 3 of 60 places in the order belong to the flagged."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 3))  # scores hang together
    flagged = []
    for _ in range(2_000):
        draw = np.exp(rng.normal(size=(num_val + 59 + 20, 3)) @ mixing)
        val, held_out, test = np.split(draw, [num_val, num_val + 59])
        normals = dict(zip("abc", val.T, strict=True))
        fused = [fuse(normals, dict(zip("abc", x.T, strict=True))) for x in (held_out, test)]
        flagged.append(np.mean(calibration.p_values(*fused) <= 0.05))
    error = np.std(flagged) / np.sqrt(len(flagged))
    assert abs(np.mean(flagged) - 0.05) < 3 * error
    assert error < 0.002


@pytest.mark.parametrize(
    ("normals", "message"),
    [([], "raise data.val_fraction"), ([1.0, np.nan], "1 of 2 validation scores")],
)
def test_validation_normals_that_cannot_set_a_scale_are_refused(normals, message):
    with pytest.raises(UserError, match=message):
        surprise(np.array(normals), np.array([1.0]))


@pytest.mark.parametrize("kind", ["vae", "ae"])
def test_evaluation_fuses_on_the_scale_of_validation_normals(kind, tmp_path, config, dataset):
    config.model.kind, config.train.epochs = kind, 1
    config.scoring.names = ("mse", "fusion")
    config.scoring.decision, config.scoring.fusion = "fusion", ("mse", "kl")
    train_lib.train(config, tmp_path, dataset)
    found = evaluate_lib.evaluate(config, tmp_path, dataset)
    assert set(found.results["detection"]) == {"mse", "fusion"}
    fused, mse = (np.array([row[name] for row in found.rows]) for name in ("fusion", "mse"))
    flagged = np.array([row["anomalous"] for row in found.rows], bool)
    np.testing.assert_array_equal(
        flagged, fused > found.results["detection"]["fusion"]["threshold"]
    )
    if kind == "ae":  # without a posterior its one member is mse, and only the scale is another
        assert (np.diff(fused[np.argsort(mse)]) >= 0).all()


def test_fusion_of_nothing_that_an_autoencoder_has_is_refused(tmp_path, config, dataset):
    config.model.kind, config.train.epochs = "ae", 1
    config.scoring.names, config.scoring.fusion = ("mse", "fusion"), ("elbo", "kl")
    train_lib.train(config, tmp_path, dataset)
    with pytest.raises(
        UserError, match=r"scoring.fusion contains only scores that need a posterior"
    ):
        evaluate_lib.evaluate(config, tmp_path, dataset)
