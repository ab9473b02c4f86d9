import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from vae_jax.config import default
from vae_jax.model.branched import build_branches
from vae_jax.model.vae import build_model, init_params
from vae_jax.report.film import FILM_CAPTIONS, TrainingFilm, open_film, project_codes
from vae_jax.scoring.inference import TrainedModel

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 1), np.uint8)
CLASSES = [str(i % 3) for i in range(20)]


@pytest.fixture(scope="module")
def model():
    """A small autoencoder with random parameters and two latent dimensions."""
    config = default()
    config.data.channels = 1
    config.model.kind, config.model.latent_dim, config.model.widths = "ae", 2, (4,)
    model = build_model(config)
    return TrainedModel(model, init_params(model, jax.random.key(0)), batch_size=20)


def count_frames(path):
    with Image.open(path) as gif:
        return getattr(gif, "n_frames", 1)


def test_two_dimensions_keep_their_ratios_of_distances():
    codes = np.random.default_rng(0).normal(size=(3, 50, 2))
    positions, axes = project_codes(codes)
    inside = np.all((positions > 0) & (positions < 1), axis=(0, 2))
    distances = np.linalg.norm(np.diff(codes[:, inside], axis=1), axis=2)
    shown = np.linalg.norm(np.diff(positions[:, inside], axis=1), axis=2)
    np.testing.assert_allclose(shown / distances, (shown / distances)[0, 0], rtol=1e-9)
    assert axes == "the latent space"


def test_more_dimensions_are_projected_onto_the_principal_components_of_the_last_frame():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(2, 40, 5)) * [3, 2, 1, 1, 1]
    positions, _ = project_codes(codes)
    expected = PCA(2).fit_transform(codes[-1])
    for axis in range(2):
        inside = (positions[-1, :, axis] > 0) & (positions[-1, :, axis] < 1)
        correlation = np.corrcoef(positions[-1, inside, axis], expected[inside, axis])[0, 1]
        assert abs(correlation) == pytest.approx(1, abs=1e-6)


def test_one_dimension_is_shown_as_a_horizontal_line():
    positions, _ = project_codes(np.random.default_rng(0).normal(size=(2, 30, 1)))
    np.testing.assert_allclose(positions[..., 1], 0.5)
    assert np.ptp(positions[-1, :, 0]) > 0.8


def test_a_single_image_is_in_the_middle():
    positions, _ = project_codes(np.random.default_rng(0).normal(size=(2, 1, 5)))
    np.testing.assert_allclose(positions[-1], 0.5)


def test_images_that_do_not_move_in_the_latent_space_do_not_move_in_the_film():
    codes = np.random.default_rng(0).normal(size=(1, 40, 5)).repeat(3, axis=0)
    positions, _ = project_codes(codes)
    np.testing.assert_array_equal(positions[0], positions[2])


def test_every_frame_is_stored_and_the_films_grow(tmp_path, model):
    film = TrainingFilm(tmp_path, IMAGES, CLASSES, seed=0)
    for count, epoch in enumerate((1, 5, 10), 1):
        film.add_frame(epoch, model)
        assert len(list((tmp_path / "film").glob("*.npz"))) == count
        for name in FILM_CAPTIONS:
            assert count_frames(tmp_path / "figures" / f"{name}.gif") == count


def test_a_frame_holds_the_codes_and_reconstructions_of_the_filmed_images(tmp_path, model):
    TrainingFilm(tmp_path, IMAGES, CLASSES, seed=0).add_frame(1, model)
    frame = np.load(tmp_path / "film" / "000001.npz")
    expected = model.reconstruct(IMAGES)
    order = [int(np.abs(expected.posterior.mu - code).sum(axis=1).argmin()) for code in frame["mu"]]
    assert sorted(order) == list(range(20))
    x_hat = np.rint(255 * expected.x_hat[order[:16]])
    np.testing.assert_allclose(frame["x_hat"], x_hat.repeat(3, axis=3), atol=1)


def test_a_resumed_run_adds_frames_to_its_films(tmp_path, model):
    for epoch in (1, 2):
        TrainingFilm(tmp_path, IMAGES, CLASSES, seed=0).add_frame(epoch, model)
    assert count_frames(tmp_path / "figures" / "film_latent_map.gif") == 2


def test_a_model_of_other_observations_has_no_film_and_says_so(tmp_path, config, dataset, caplog):
    caplog.set_level("INFO", logger="vae_jax")
    config.model.observations = ("bands",)
    assert open_film(tmp_path, dataset.val, build_branches(config), seed=0) is None
    [record] = caplog.records
    assert record.getMessage() == (
        "no films of training: they show reconstructed images, and this model explains bands"
    )
