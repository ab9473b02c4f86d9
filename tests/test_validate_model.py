import pytest

from vae_jax import validate_model
from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.observation import bands, features
from vae_jax.validate import validate_config

BOTH = {
    "model.observations": ("features", "bands"),
    "scoring.names": ("features_cosine_max", "bands_place_nll", "fusion", "hedge"),
    "scoring.fusion": ("features_cosine", "features_joint", "bands_place_nll"),
}


def make_config(**fields):
    config = default()
    workdir_lib.override_fields(config, fields)
    return config


def refuse(fields):
    """Returns the message of the error, which must be one line."""
    with pytest.raises(UserError) as error:
        validate_config(make_config(**fields))
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "fields",
    [
        BOTH,
        BOTH | {"model.kind": "linear", "model.band_size": 200},
        BOTH | {"model.kind": "ae", "scoring.names": ("features_mse",)},
        BOTH | {"model.latent": "vector", "model.feature_widths": (64,)},
        BOTH | {"model.latent": "spatial", "model.band_size": 200},
        BOTH | {"scoring.decision": "patchcore_max"},
        BOTH | {"model.feature_channels": 472},
    ],
)
def test_models_of_features_and_bands_are_valid(fields):
    validate_config(make_config(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model.observations": ()}, "model.observations is (); name each observation once"),
        ({"model.observations": ("bands", "bands")}, "name each observation once, at least one of"),
        ({"model.observations": ("sound",)}, "model.observations contains 'sound'; valid: pixels,"),
        ({"model.observations": ("pixels", "bands")}, "pixels are explained alone"),
        ({"model.num_classes": 3}, "only a model of pixels alone can be conditional"),
        ({"objective.frequency_weight": 1.0}, "only pixels have a spectrum: set it to 0"),
        ({"model.band_size": 100}, "(model.band_size / 8) is 13; with 1 stride-2 convolutions"),
        (
            {"model.band_widths": ()},
            "model.band_widths is (); give one or more whole numbers above 0",
        ),
        ({"model.feature_widths": (0,)}, "model.feature_widths is (0,); give one or more"),
        (
            {"model.latent": "vector", "model.grid": 7},
            "model.grid is 7; with 1 stride-2 convolutions",
        ),
        ({"model.feature_channels": 473}, "model.feature_channels is 473; there are 472 features"),
        ({"model.latent": "flat"}, "model.latent is 'flat'"),
    ],
)
def test_a_wrong_field_of_the_model_is_refused_with_what_to_do(fields, message):
    assert message in refuse(BOTH | fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"scoring.names": ("mse",)},
            "scoring.names contains 'mse', a score of pixels, but model.observations is features, bands",
        ),
        (
            {"scoring.fusion": ("cosine", "features_joint")},
            "scoring.fusion contains 'cosine', a score of pixels",
        ),
        (
            {"scoring.names": ("features_cosin",)},
            "scoring.names contains 'features_cosin': there is no score 'features_cosin'; valid:",
        ),
        (
            {"scoring.names": ("features_joint_max",)},
            "there is no score 'features_joint_max'",
        ),
        (
            {"scoring.fusion": ("hedge",)},
            "scoring.fusion contains 'hedge', which combines scores itself; name single scores",
        ),
        (
            {"scoring.decision": "bands_mse"},
            "scoring.decision is 'bands_mse'; valid: features_cosine_max",
        ),
    ],
)
def test_a_score_that_the_model_lacks_is_refused_by_its_field(fields, message):
    assert message in refuse(BOTH | fields)


def test_a_model_of_pixels_has_no_baseline_on_features():
    message = refuse({"scoring.decision": "padim_max"})
    assert "scoring.decision names padim_max, a baseline on features" in message
    message = refuse({"scoring.names": ("mse", "padim_max")})
    assert "scoring.names names padim_max, a baseline on features" in message


def test_a_linear_model_of_pixels_needs_no_size_that_can_be_halved():
    size = {"data.image_size": 9, "model.likelihood": "gaussian"}
    assert "data.image_size is 9" in refuse(size)
    validate_config(make_config(**size, **{"model.kind": "linear"}))


@pytest.mark.parametrize(
    ("names", "observations", "expected"),
    [
        (("mse", "bands_mse", "fusion", "pca"), ("bands",), ("bands_mse", "fusion", "pca")),
        (("mse", "features_joint_x"), ("bands",), ("mse", "features_joint_x")),
        (("mse", "fusion"), ("bands",), ("mse", "fusion")),
    ],
)
def test_scores_of_other_observations_are_left_out_unless_a_mistake_would_be_hidden(
    names, observations, expected
):
    assert validate_model.select_computable(names, observations) == expected


def test_the_sizes_of_observations_are_those_of_the_observers():
    assert validate_model.BAND_CELL == bands.CELL
    assert validate_model.NUM_FEATURES == features.NUM_CHANNELS
