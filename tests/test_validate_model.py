import pytest

from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.score_names import list_scores
from vae_jax.validate_model import check_scoring


def make_config(observations, names, decision=""):
    config = default()
    config.model.observations = observations
    config.scoring.names, config.scoring.decision = names, decision
    config.scoring.fusion = names[:1]
    return config


@pytest.mark.parametrize("decision", ["pca", "band_pca", "padim_max", "patchcore_mean"])
def test_any_baseline_may_decide_beside_features(decision):
    check_scoring(make_config(("features", "bands"), ("features_mse",), decision))
    check_scoring(make_config(("features", "bands"), ("features_mse", decision)))


@pytest.mark.parametrize(
    ("observations", "names", "decision", "message"),
    [
        (("pixels",), ("mse", "padim_max"), "", "scoring.names names padim_max"),
        (("pixels",), ("mse", "padim_max"), "padim_max", "scoring.names names padim_max"),
        (("bands",), ("bands_mse",), "patchcore_mean", "scoring.decision names patchcore_mean"),
    ],
)
def test_a_baseline_on_features_needs_features(observations, names, decision, message):
    with pytest.raises(UserError) as error:
        check_scoring(make_config(observations, names, decision))
    assert str(error.value).startswith(f"{message}, a baseline on features, but")
    assert f"model.observations is {observations[0]}" in str(error.value)
    assert str(error.value).endswith("use one of pca, nearest_neighbour, band_energy, band_pca")


def test_a_baseline_that_decides_is_computed_although_it_is_not_named():
    assert list_scores(("mse", "kl"), "pca") == ["mse", "kl", "pca"]
    assert list_scores(("pca", "kl"), "pca") == ["pca", "kl"]
    assert list_scores(("mse",), "") == list_scores(("mse",), "kl") == ["mse"]
