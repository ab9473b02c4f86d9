import numpy as np
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from vae_jax.report.film import FILM_CAPTIONS, TrainingFilm, project_codes


def test_two_dimensions_are_shown_as_they_are():
    codes = np.random.default_rng(0).normal(size=(3, 50, 2))
    places, axes = project_codes(codes)
    inside = np.all((places > 0) & (places < 1), axis=(0, 2))
    # One scale for both axes and all frames: distances keep their ratios.
    distances = np.linalg.norm(codes[:, inside][:, 1:] - codes[:, inside][:, :-1], axis=2)
    shown = np.linalg.norm(places[:, inside][:, 1:] - places[:, inside][:, :-1], axis=2)
    np.testing.assert_allclose(shown / distances, (shown / distances)[0, 0], rtol=1e-9)
    assert axes == "the latent space"


def test_more_dimensions_are_seen_along_the_principal_components_of_the_last_frame():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(2, 40, 5)) * [3, 2, 1, 1, 1]
    places, _ = project_codes(codes)
    expected = PCA(2).fit_transform(codes[-1])
    for axis in range(2):
        inside = (places[-1, :, axis] > 0) & (places[-1, :, axis] < 1)
        correlation = np.corrcoef(places[-1, inside, axis], expected[inside, axis])[0, 1]
        assert abs(correlation) == pytest.approx(1, abs=1e-6)


def test_one_image_lies_in_the_middle():
    places, _ = project_codes(np.random.default_rng(0).normal(size=(2, 1, 5)))
    np.testing.assert_allclose(places[-1], 0.5)


def test_frames_line_up():
    """Images that do not move in the latent space do not move in the film."""
    codes = np.random.default_rng(0).normal(size=(1, 40, 5)).repeat(3, axis=0)
    places, _ = project_codes(codes)
    np.testing.assert_array_equal(places[0], places[2])


@pytest.mark.parametrize("latent_dim", [1, 2, 4])
def test_each_frame_is_kept_and_the_films_grow(tmp_path, latent_dim):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 8, 8, 1), np.uint8)
    film = TrainingFilm(tmp_path, images, [str(i % 3) for i in range(20)], seed=0)

    def encode(images):
        return rng.normal(size=(len(images), latent_dim)), images / np.float32(255)

    for count, epoch in enumerate((1, 5, 10), 1):
        film.add_frame(epoch, encode)
        assert len(list((tmp_path / "film").glob("*.npz"))) == count
        for name in FILM_CAPTIONS:
            with Image.open(tmp_path / "figures" / f"{name}.gif") as gif:
                assert getattr(gif, "n_frames", 1) == count


def test_a_run_that_goes_on_adds_to_its_film(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1), np.uint8)
    for epoch in (1, 2):
        film = TrainingFilm(tmp_path, images, ["a"] * 6, seed=0)
        film.add_frame(epoch, lambda x: (x.reshape(len(x), -1)[:, :2] / 255, x / np.float32(255)))
    with Image.open(tmp_path / "figures" / "film_latent_map.gif") as gif:
        assert gif.n_frames == 2
