"""Properties that every score has, whatever it measures."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vae_jax import config as config_lib
from vae_jax.data.region import load_region
from vae_jax.model.vae import BoundModel, build_model, init_params
from vae_jax.score_names import COMBINATIONS, MEASURES
from vae_jax.scoring.fits import FITS, fit_scores
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.scorer import make_scorer
from vae_jax.scoring.scores import (
    BY_OPTIMISATION,
    HOST_FEATURES,
    NEEDS_POSTERIOR,
    SCORES,
    deciding_score,
)
from vae_jax.validate_model import MIN_MS_SSIM_SIZE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]

NUM_IMAGES, SEED = 11, 0
PIXEL_SCORES = MEASURES["pixels"]
# The scores that work on small grey images; ms_ssim needs large ones, and a grey pixel has no direction.
SMALL = tuple(name for name in PIXEL_SCORES if name not in ("ms_ssim", "cosine"))


class Subject:
    """An untrained model and images, with the scores of the images."""

    def __init__(self, image_size, names, roi="", channels=1):
        config = config_lib.default()
        config.data.image_size, config.data.channels = image_size, channels
        config.model.widths, config.model.latent_dim = (2, 4), 3
        config.model.likelihood = "continuous_bernoulli"
        config.scoring.importance_samples = 3
        config.scoring.regret_steps = config.scoring.restoration_steps = 2
        config.scoring.gmm_components = 2
        config.data.roi = roi
        self.scoring_config, self.names = config.scoring, names
        model = build_model(config, load_region(config.data))
        params = init_params(model, jax.random.key(0))
        self.trained = TrainedModel(model, params, NUM_IMAGES)
        rng = np.random.default_rng(0)
        shape = (image_size, image_size, channels)
        normals = rng.integers(0, 256, (30, *shape), np.uint8)
        self.images = rng.integers(0, 256, (NUM_IMAGES, *shape), np.uint8)
        if roi:
            inside = model.region.mask[:, :, None]
            normals, self.images = normals * inside, self.images * inside
        self.fits = fit_scores(names, self.trained, normals, config.scoring, SEED)

    @functools.cache  # noqa: B019 - the subjects live as long as the tests
    def make_scorer(self, batch_size, num_devices):
        scoring_config = self.scoring_config.copy_and_resolve_references()
        scoring_config.batch_size = batch_size
        devices = jax.devices()[:num_devices]
        return make_scorer(self.trained.model, self.names, scoring_config, SEED, devices)

    @functools.cache  # noqa: B019
    def score(self, batch_size=NUM_IMAGES, num_devices=1, rows=None):
        score = self.make_scorer(batch_size, num_devices)
        rows = None if rows is None else np.array(rows)
        return score(self.trained.params, self.images, rows=rows, fits=self.fits)


@pytest.fixture(scope="module")
def small():
    return Subject(8, SMALL)


@pytest.fixture(scope="module")
def subjects(small):
    """Name of a score -> subject with this score."""
    others = {
        "ms_ssim": Subject(MIN_MS_SSIM_SIZE, ("ms_ssim",)),
        "cosine": Subject(8, ("cosine",), channels=3),
    }
    return {name: others.get(name, small) for name in PIXEL_SCORES}


@pytest.fixture(scope="module")
def in_ellipse():
    """The small model and images, with an ellipse as the region of interest."""
    return Subject(8, SMALL, "ellipse")


def assert_same(score, actual, expected):
    """Checks equality but for rounding, in units of the differences between images.

    Scores by optimisation amplify rounding, because Adam divides by the size of a gradient, however small
    it is.
    """
    tolerance = 1e-2 if score in BY_OPTIMISATION else 1e-3
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=tolerance * np.std(expected))


@pytest.mark.parametrize("score", PIXEL_SCORES)
def test_score_does_not_depend_on_batches_padding_and_devices(subjects, score):
    in_padded_batches_on_eight_devices = subjects[score].score(batch_size=8, num_devices=8)
    assert_same(score, in_padded_batches_on_eight_devices[score], subjects[score].score()[score])


@pytest.mark.parametrize("score", PIXEL_SCORES)
def test_score_differs_between_images_and_is_finite(subjects, score):
    values = subjects[score].score()[score]
    assert values.shape == (NUM_IMAGES,)
    assert np.isfinite(values).all()
    assert len(np.unique(values)) == NUM_IMAGES


@pytest.mark.parametrize("score", PIXEL_SCORES)
def test_score_does_not_depend_on_the_order_of_images(subjects, score):
    order = np.random.default_rng(1).permutation(NUM_IMAGES)
    values = subjects[score].score(rows=tuple(order.tolist()))[score]
    assert_same(score, values, subjects[score].score()[score][order])


@pytest.mark.parametrize("score", SMALL)
def test_score_of_a_region_is_finite_and_depends_on_the_image_alone(in_ellipse, score):
    values = in_ellipse.score()[score]
    assert np.isfinite(values).all()
    assert len(np.unique(values)) == NUM_IMAGES
    first_rows = tuple(range(4))
    assert_same(score, in_ellipse.score(rows=first_rows)[score], values[:4])


def test_a_region_of_all_pixels_changes_no_score(tmp_path, small):
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "white.png")
    # The scores that are computed in different ways; ssim counts the edge if there is a region.
    names = ("mse", "bce", "fft", "elbo", "nll", "knn", "restoration", "kl_gradient")
    everywhere = Subject(8, names, str(tmp_path / "white.png")).score()
    for name in names:
        assert_same(name, everywhere[name], small.score()[name])


def test_errors_of_a_region_are_means_over_the_region(in_ellipse):
    model, params = in_ellipse.trained.model, in_ellipse.trained.params
    inside = model.region.mask
    x = in_ellipse.images / np.float32(255)
    x_hat = np.asarray(BoundModel(model, params).reconstruct(jnp.asarray(x)))
    assert np.all(x_hat[:, ~inside] == 0)
    expected = np.square(x - x_hat)[:, inside].mean(axis=(1, 2))
    np.testing.assert_allclose(in_ellipse.score()["mse"], expected, rtol=1e-5)


def test_every_measure_that_a_name_may_have_has_a_function():
    assert set(SCORES) == {measure for measures in MEASURES.values() for measure in measures}


def test_fits_and_host_features_and_posterior_needs_belong_to_scores():
    assert {*FITS, *HOST_FEATURES, *NEEDS_POSTERIOR} <= set(SCORES)


def test_the_documentation_lists_every_score():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "scores.md").read_text(encoding="utf-8")
    listed = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    scores = [name if name in MEASURES["pixels"] else f"features_{name}" for name in SCORES]
    assert listed == [*scores, *COMBINATIONS]


def test_the_configured_score_decides_then_fusion_then_the_first():
    assert deciding_score("kl", ("mse", "kl", "fusion")) == "kl"
    assert deciding_score("kl", ("mse", "fusion")) == "fusion"
    assert deciding_score("", ("l1", "mse")) == "l1"
