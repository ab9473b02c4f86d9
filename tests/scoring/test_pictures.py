import jax
import numpy as np
import pytest

from vae_jax.model.branched import build_branches, init_branches
from vae_jax.observation.observed import observe_dataset
from vae_jax.scoring.anomaly_maps import make_model_mapper
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.pictures import choose_branch, make_pictures
from vae_jax.scoring.setup import ScoringSetup


@pytest.fixture
def setup(config, dataset, tmp_path):
    """A model of bands with random parameters, and the discs and rings."""
    config.data.dir = str(tmp_path)
    config.model.observations = ("bands",)
    config.model.band_size, config.model.band_widths = 32, (4,)
    config.scoring.map_smoothing = 0.0
    model = build_branches(config)
    trained = TrainedModel(model, init_branches(model, jax.random.key(0)), 32)
    return ScoringSetup(trained, observe_dataset(dataset, config), config.scoring, config.seed)


def test_the_map_of_another_observation_is_in_standard_deviations_of_calibration_normals(setup):
    pictures = make_pictures(setup, "bands_place_nll_max")
    assert pictures.map_name == "bands_place_nll"
    reconstructions, maps = pictures.draw(setup.dataset.test)
    assert reconstructions is None
    mapper = make_model_mapper(setup, (), {})
    normals, test = (
        mapper(examples)["bands_place_nll"].astype(np.float64)
        for examples in (setup.dataset.calibration, setup.dataset.test)
    )
    deviation = normals.std(axis=0)
    deviation = np.maximum(deviation, 0.1 * deviation.mean())
    expected = np.maximum((test - normals.mean(axis=0)) / deviation, 0)
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-3)
    size = setup.dataset.image_size
    assert maps.shape == (len(setup.dataset.test), size, size)


def test_a_gallery_without_images_has_maps_of_no_images(setup):
    nothing = setup.dataset.test.take(np.zeros(0, int))
    reconstructions, maps = make_pictures(setup, "bands_kl").draw(nothing)
    assert reconstructions is None
    assert maps.shape == (0, setup.dataset.image_size, setup.dataset.image_size)


@pytest.mark.parametrize(
    ("score", "members", "branch"),
    [
        ("bands_place_nll_max", ("features_cosine",), "bands"),
        ("features_joint", (), "features"),
        ("fusion", ("bands_place_nll", "features_cosine"), "features"),
        ("hedge", ("bands_place_nll", "bands_mse"), "bands"),
        ("padim_max", ("bands_place_nll",), "features"),
    ],
)
def test_the_deciding_score_chooses_the_branch_and_features_come_first(
    config, score, members, branch
):
    config.model.observations = ("bands", "features")
    assert choose_branch(build_branches(config), score, members) == branch
