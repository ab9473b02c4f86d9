import io
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vae_jax.data.batches import Batch
from vae_jax.model.distributions import LIKELIHOODS
from vae_jax.model.vae import BoundModel
from vae_jax.scoring import probabilistic
from vae_jax.scoring.fits import fit_scores
from vae_jax.scoring.scorer import build_view, make_scorer
from vae_jax.scoring.scores import SCORES

pytestmark = pytest.mark.usefixtures("quick_compilation")

NAMES = ("elbo", "nll", "bits_per_dim", "corrected_nll", "typicality", "input_complexity")


@pytest.fixture
def score(config, make_setup):
    """Returns a function that scores images with an untrained model of some likelihood."""

    def score(likelihood, images, num_samples=8, names=NAMES):
        config.model.likelihood = likelihood
        config.scoring.importance_samples = num_samples
        setup = make_setup()
        trained, normals = setup.trained, setup.dataset.train.images
        fits = fit_scores(names, trained, normals, config.scoring, config.seed)
        scorer = make_scorer(trained.model, names, config.scoring, 0, jax.devices()[:1])
        return scorer(trained.params, images, fits=fits)

    return score


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretised_logistic"])
def test_the_other_scores_follow_from_nll(score, dataset, likelihood):
    images = dataset.test.images
    columns = score(likelihood, images)
    nll, num_values = columns["nll"], images[0].size
    offset = 8 if LIKELIHOODS[likelihood].is_density else 0
    bits = nll / (num_values * math.log(2)) + offset
    np.testing.assert_allclose(columns["bits_per_dim"], bits, rtol=1e-4, atol=1e-4)
    png_bits = probabilistic.png_bits(images) / num_values
    np.testing.assert_allclose(columns["input_complexity"], bits - png_bits, rtol=1e-4, atol=1e-3)
    assert (columns["corrected_nll"] > 0).all()


def test_equal_images_have_equal_nll_whatever_the_other_images_are(score, dataset):
    images = dataset.test.images[[0, 1, 0, 2, 0]]
    nll = score("gaussian", images, names=("nll",))["nll"]
    assert nll[0] == nll[2] == nll[4]
    assert nll[0] != nll[1]
    alone = score("gaussian", images[2:3], names=("nll",))["nll"]
    np.testing.assert_allclose(alone, nll[:1], rtol=1e-6)


def test_discretised_logistic_codes_grey_images_in_fewer_bits_than_their_file_has(score):
    """An untrained decoder outputs grey, so grey images are cheap and noise is not."""
    rng = np.random.default_rng(0)
    grey = np.full((4, 8, 8, 1), 128, np.uint8)
    noise = rng.integers(0, 256, (4, 8, 8, 1), np.uint8)
    images = np.concatenate([grey, noise])
    bits = score("discretised_logistic", images, names=("bits_per_dim",))["bits_per_dim"]
    assert (bits[:4] < 8).all()
    assert (bits[4:] > 8).all()


def test_corrected_bernoulli_nll_does_not_count_the_entropy_of_grey(score):
    """The cross-entropy minus the entropy is the divergence, here from a decoder that outputs grey."""
    images = np.stack([np.full((8, 8, 1), level, np.uint8) for level in (0, 64, 128, 255)])
    columns = score("bernoulli", images, 64, names=("nll", "corrected_nll"))
    x = np.clip(images / 255, 1e-12, 1 - 1e-12)
    entropy = -(x * np.log(x) + (1 - x) * np.log1p(-x)).sum(axis=(1, 2, 3))
    corrected = columns["corrected_nll"]
    np.testing.assert_allclose(corrected, columns["nll"] - entropy, rtol=1e-3, atol=1e-3)
    assert np.ptp(columns["nll"]) < 5 < np.ptp(corrected)
    assert corrected.argmin() == 2


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "gaussian_learned"])
def test_correction_is_constant_if_every_image_has_the_same_best_likelihood(
    score, dataset, likelihood
):
    columns = score(likelihood, dataset.test.images, names=("nll", "corrected_nll"))
    assert np.ptp(columns["corrected_nll"] - columns["nll"]) < 0.1


def test_typicality_is_the_distance_from_the_mean_of_training_normals(score, dataset):
    train = score("gaussian", dataset.train.images, names=("elbo",))["elbo"]
    columns = score("gaussian", dataset.test.images, names=("elbo", "typicality"))
    expected = np.abs(columns["elbo"] - train.mean())
    np.testing.assert_allclose(columns["typicality"], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_bits_are_the_size_of_a_file_that_opens_again(channels):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 9, 7, channels), np.uint8)
    images[1] = 7
    bits = probabilistic.png_bits(images) / images[0].size
    file = io.BytesIO()
    Image.fromarray(images[0].squeeze()).save(file, "png", optimize=True)
    np.testing.assert_array_equal(np.asarray(Image.open(file)).reshape(images[0].shape), images[0])
    assert bits[0] == pytest.approx(8 * len(file.getvalue()) / images[0].size)
    assert bits[1] < bits[0]


def test_all_scores_that_need_the_likelihood_share_one_estimate(config, make_setup):
    """The K decodes are one loop of the program, whatever the number of scores is."""
    trained = make_setup().trained
    num_loops = []
    for names in (("nll",), ("nll", "bits_per_dim", "corrected_nll")):

        def step(params, image, names=names):
            batch = Batch(image, jnp.arange(2), jnp.ones(2), jnp.zeros(2, jnp.int32))
            bound = BoundModel(trained.model, params)
            view = build_view(bound, batch, config.scoring, 0, {}, {})
            return [SCORES[name](view) for name in names]

        jaxpr = jax.make_jaxpr(step)(trained.params, jnp.zeros((2, 8, 8, 1), jnp.uint8))
        num_loops.append(str(jaxpr).count("scan["))
    assert num_loops == [1, 1]
