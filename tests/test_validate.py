import pytest

from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.validate import resolve_names, validate_config


def test_the_default_is_valid():
    config = default()
    resolve_names(config)
    validate_config(config)


def test_every_list_of_names_is_resolved():
    config = default()
    with config.ignore_type():
        config.data.normal_classes, config.data.anomaly_classes = 3, "a,b"
        config.scoring.names, config.scoring.fusion = "(mse, kl)", ["mse"]
        resolve_names(config)
    assert config.data.normal_classes == ("3",)
    assert config.data.anomaly_classes == ("a", "b")
    assert config.scoring.names == ("mse", "kl")
    assert config.scoring.fusion == ("mse",)


BAND_SCORES = {f"scoring.{field}": ("bands_mse",) for field in ("names", "fusion")}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scoring.names": ()}, "scoring.names is empty"),
        ({"scoring.fusion": ()}, "scoring.fusion is empty"),
        (
            {"scoring.fusion": ("fusion",)},
            "scoring.fusion contains 'fusion', which combines scores itself; name single scores, at",
        ),
        ({"scoring.decision": "nll"}, "scoring.decision is 'nll'; valid: mse,"),
        (
            {"scoring.names": ("ms_ssim",)},
            "data.image_size is 8; the score ms_ssim needs at least 176",
        ),
        (
            {"scoring.fusion": ("ms_ssim",), "data.image_size": 176, "data.roi": "ellipse"},
            "data.roi is 'ellipse'; the score ms_ssim compares whole images only",
        ),
        (
            {"scoring.false_discovery": True, "scoring.threshold_rule": "mean_std"},
            "scoring.false_discovery decides by p-values",
        ),
        ({"data.anomaly_dataset": "minst"}, "did you mean mnist?"),
        (
            {"data.framing": "padd"},
            "data.framing is 'padd'; valid: crop, stretch, pad, tiles, auto; did you mean pad",
        ),
        (
            {"data.binarise": "dynamik"},
            "data.binarise is 'dynamik'; valid: \"\", static, dynamic; did you mean dynamic",
        ),
        (
            {"data.binarise": "dynamic", "model.kind": "linear"},
            "model.kind is linear, which has no steps; set data.binarise=static",
        ),
        (
            {"data.binarise": "static", "model.observations": ("bands",)} | BAND_SCORES,
            "data.binarise is static, which draws pixels, but model.observations is bands;",
        ),
        ({"data.crop": 0.0}, "data.crop is 0; it must be in (0, 1]"),
        ({"data.crop": 1.5}, "data.crop is 1.5; it must be in [0, 1]"),
        ({"data.test_fraction": 1.0}, "data.test_fraction is 1.0; it must be in [0, 1)"),
        ({"data.test_fraction": 0.8}, "is 1; it must be below 1"),
        ({"data.image_size": 2}, "choose 4, or fewer widths"),
        ({"model.widths": ()}, "model.widths is (); give one or more whole numbers"),
        (
            {"train.accumulate": 3},
            "train.batch_size is 64; it must be divisible by train.accumulate=3",
        ),
        ({"objective.pixel_weight": 0.0}, "are both 0, so the loss does not compare"),
        ({"train.clip_norm": float("inf")}, "train.clip_norm is inf; it must be a finite number"),
        ({"scoring.bootstrap_resamples": 99}, "at least 100"),
        ({"name": "a/b"}, "name is 'a/b'"),
        ({"name": ""}, "name is ''"),
        ({"name": ".."}, "name is '..'"),
        ({"name": "."}, "name is '.'"),
    ],
)
def test_a_wrong_value_is_refused_with_the_field_and_what_is_valid(fields, message):
    config = default()
    workdir_lib.override_fields(config, fields)
    with pytest.raises(UserError) as error:
        validate_config(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_class_may_be_normal_here_and_an_anomaly_in_another_dataset():
    config = default()
    workdir_lib.override_fields(config, {"data.normal_classes": ("0",)})
    with pytest.raises(UserError, match="class 0 is in both"):
        validate_config(config)
    config.data.anomaly_dataset = "mnist"
    validate_config(config)


def test_the_limit_of_pixels_cannot_exceed_that_of_the_reader():
    config = default()
    config.data.max_pixels = 200_000_000
    with pytest.raises(
        UserError, match=r"data.max_pixels is 200000000; it must be at most 178956970"
    ):
        validate_config(config)
