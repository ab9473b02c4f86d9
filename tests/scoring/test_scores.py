"""What holds for every score, whatever it measures."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vae_jax import config as config_lib
from vae_jax import validate as validate_lib
from vae_jax.data.batches import Batch, compute_content_index, iterate_batches
from vae_jax.data.region import load_region
from vae_jax.model.vae import BoundModel, build_model, init_params
from vae_jax.scoring import fits
from vae_jax.scoring import scorer as scorer_lib
from vae_jax.scoring.fits import FITS
from vae_jax.scoring.scorer import build_view, make_scorer
from vae_jax.scoring.scores import (
    BY_OPTIMISATION,
    HOST_FEATURES,
    NEEDS_POSTERIOR,
    SCORE_TEXTS,
    SCORES,
)

COUNT, SEED = 11, 0
# name -> images a step, devices; the last step is padded where 11 images do not fill it.
PASSES = {
    "all at once": (COUNT, 1),
    "in padded batches": (4, 1),
    "on eight devices": (8, 8),
}


class Subject:
    """An untrained model, its images, and all scores that run at their size."""

    def __init__(self, image_size, names, roi=""):
        config = config_lib.default()
        config.data.image_size, config.data.channels = image_size, 1
        config.model.widths, config.model.latent_dim = (2, 4), 3
        config.model.likelihood = "continuous_bernoulli"
        config.scoring.importance_samples = 3
        config.scoring.regret_steps = config.scoring.restoration_steps = 2
        config.scoring.gmm_components = 2
        config.data.roi = roi
        self.scoring_config, self.names = config.scoring, names
        self.model = build_model(config, load_region(config.data))
        self.params = init_params(self.model, jax.random.key(0))
        rng = np.random.default_rng(0)
        normals = rng.integers(0, 256, (30, image_size, image_size, 1), np.uint8)
        self.images = rng.integers(0, 256, (COUNT, image_size, image_size, 1), np.uint8)
        if roi:
            inside = self.model.region.mask[:, :, None]
            normals, self.images = normals * inside, self.images * inside
        self.fitted = fits.fit_scores(
            names, self.model, self.params, normals, self.scoring_config, SEED
        )

    @functools.cache  # noqa: B019 - two subjects live as long as the tests
    def scores(self, name):
        scoring_config = self.scoring_config.copy_and_resolve_references()
        scoring_config.batch_size, num_devices = PASSES[name]
        devices = jax.devices()[:num_devices]
        scorer = make_scorer(self.model, self.names, scoring_config, SEED, devices, self.fitted)
        return scorer(self.params, self.images)

    def in_order(self, order):
        """Scores of the images in another order."""
        images = self.images[order]
        blank = np.zeros(COUNT, np.int32)
        batch = Batch(images, compute_content_index(images), np.ones(COUNT, np.float32), blank)
        host = {n: HOST_FEATURES[n](batch.image) for n in self.names if n in HOST_FEATURES}

        @jax.jit
        def score(params, fitted, batch, host):
            view = build_view(
                BoundModel(self.model, params), batch, self.scoring_config, SEED, fitted, host
            )
            return {name: SCORES[name](view) for name in self.names}

        return jax.device_get(score(self.params, self.fitted, batch, host))


@pytest.fixture(scope="module")
def subjects():
    """Small images for all but the score that wants large ones."""
    small = Subject(8, tuple(name for name in SCORES if name != "ms_ssim"))
    large = Subject(validate_lib.MIN_MS_SSIM_SIZE, ("ms_ssim",))
    return {name: large if name == "ms_ssim" else small for name in SCORES}


def assert_same(score, found, expected):
    """Equal but for rounding, which is judged beside what tells images apart.

    Optimisation amplifies it: Adam divides by the size of a gradient, however small that is.
    """
    part = 1e-2 if score in BY_OPTIMISATION else 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=part * np.std(expected))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("how", [name for name in PASSES if name != "all at once"])
def test_score_depends_on_the_image_alone(subjects, score, how):
    found = subjects[score].scores(how)[score]
    assert_same(score, found, subjects[score].scores("all at once")[score])


@pytest.mark.parametrize("score", SCORES)
def test_score_tells_images_apart_and_is_finite(subjects, score):
    found = subjects[score].scores("all at once")[score]
    assert found.shape == (COUNT,)
    assert np.isfinite(found).all()
    assert len(np.unique(found)) == COUNT


@pytest.mark.parametrize("score", SCORES)
def test_score_does_not_depend_on_the_order_of_images(subjects, score):
    order = np.random.default_rng(1).permutation(COUNT)
    found = subjects[score].in_order(order)[score]
    assert_same(score, found, subjects[score].scores("all at once")[score][order])


@pytest.fixture(scope="module")
def in_ellipse():
    """The same small model and images, with an ellipse as the region of interest."""
    return Subject(8, tuple(name for name in SCORES if name != "ms_ssim"), "ellipse")


@pytest.mark.parametrize("score", [name for name in SCORES if name != "ms_ssim"])
def test_score_of_a_region_is_finite_and_depends_on_the_image_alone(in_ellipse, score):
    found = in_ellipse.scores("all at once")[score]
    assert np.isfinite(found).all()
    assert len(np.unique(found)) == COUNT
    assert_same(score, in_ellipse.scores("in padded batches")[score], found)


def test_a_region_that_is_everything_changes_nothing(tmp_path, subjects):
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "white.png")
    names = tuple(
        name for name in SCORES if name not in ("ms_ssim", "ssim")
    )  # ssim counts the edge then
    everywhere = Subject(8, names, str(tmp_path / "white.png")).scores("all at once")
    for name in names:
        assert_same(name, everywhere[name], subjects[name].scores("all at once")[name])


def test_errors_of_a_region_are_means_over_it(in_ellipse):
    subject = in_ellipse
    inside = subject.model.region.mask
    x = subject.images / np.float32(255)
    x_hat = np.asarray(BoundModel(subject.model, subject.params).reconstruct(jnp.asarray(x)))
    assert np.all(x_hat[:, ~inside] == 0)
    expected = np.square(x - x_hat)[:, inside].mean(axis=(1, 2))
    np.testing.assert_allclose(subject.scores("all at once")["mse"], expected, rtol=1e-5)


def test_every_score_has_one_sentence_for_the_user():
    assert list(SCORE_TEXTS) == [*SCORES, "fusion"]
    for text in SCORE_TEXTS.values():
        assert text[0].isupper()
        assert text.endswith(".")


def test_config_names_the_scores():
    assert set(validate_lib.SCORES) == {*SCORES, "fusion"}


def test_what_is_fitted_and_read_and_asked_for_belongs_to_a_score():
    assert {*FITS, *HOST_FEATURES, *NEEDS_POSTERIOR} <= set(SCORES)


def test_the_documentation_lists_every_score():
    text = (pathlib.Path(__file__).parents[2] / "docs" / "scores.md").read_text(encoding="utf-8")
    listed = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert listed == [*SCORES, "fusion"]


@pytest.mark.parametrize(
    ("num_devices", "max_images", "expected"),
    [(1, None, 256), (1, 11, 11), (2, 11, 12), (1, 999, 256)],
)
def test_a_small_set_is_scored_in_no_larger_batches(
    subjects, monkeypatch, num_devices, max_images, expected
):
    subject, sizes = subjects["mse"], []

    def recorded(images, batch_size, *rest):
        sizes.append(batch_size)
        return iterate_batches(images, batch_size, *rest)

    monkeypatch.setattr(scorer_lib, "batches", recorded)
    scoring_config = subject.scoring_config.copy_and_resolve_references()
    scoring_config.batch_size = 256
    devices = jax.devices()[:num_devices]
    score = make_scorer(
        subject.model, ("mse",), scoring_config, SEED, devices, max_images=max_images
    )
    found = score(subject.params, subject.images)["mse"]
    assert sizes == [expected]
    assert_same("mse", found, subject.scores("all at once")["mse"])
