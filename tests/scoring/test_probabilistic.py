import io
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vae_jax.data.batches import Batch
from vae_jax.model.distributions import LIKELIHOODS
from vae_jax.model.vae import BoundModel, build_model, init_params
from vae_jax.scoring import fits, probabilistic
from vae_jax.scoring.scorer import build_view, make_scorer
from vae_jax.scoring.scores import SCORES

NAMES = ("elbo", "nll", "bits_per_dim", "corrected_nll", "typicality", "input_complexity")


@pytest.fixture
def run(config, dataset):
    """(likelihood, images, K, seed) -> columns of an untrained model."""

    def score(likelihood, images, samples=8, seed=0, names=NAMES):
        config.model.likelihood = likelihood
        config.scoring.importance_samples = samples
        model = build_model(config)
        params = init_params(model, jax.random.key(0))
        fitted = fits.fit_scores(
            names, model, params, dataset.train.images, config.scoring, config.seed
        )
        scorer = make_scorer(model, names, config.scoring, seed, jax.devices()[:1], fitted)
        return scorer(params, images)

    return score


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretised_logistic"])
def test_scores_follow_from_nll(run, dataset, likelihood):
    images = dataset.test.images
    found = run(likelihood, images)
    nll, size = found["nll"], images[0].size
    offset = 8 if LIKELIHOODS[likelihood].is_density else 0
    bits = nll / (size * math.log(2)) + offset
    np.testing.assert_allclose(found["bits_per_dim"], bits, rtol=1e-4, atol=1e-4)
    png = probabilistic.png_bits(images) / images[0].size
    np.testing.assert_allclose(found["input_complexity"], bits - png, rtol=1e-4, atol=1e-3)
    assert (found["corrected_nll"] > 0).all()


def test_equal_images_have_equal_nll_whatever_stands_beside_them(run, dataset):
    images = dataset.test.images[[0, 1, 0, 2, 0]]
    nll = run("gaussian", images, names=("nll",))["nll"]
    assert nll[0] == nll[2] == nll[4]
    assert nll[0] != nll[1]
    np.testing.assert_allclose(
        run("gaussian", images[2:3], names=("nll",))["nll"], nll[:1], rtol=1e-6
    )


def test_discretised_logistic_codes_an_image_in_fewer_bits_than_it_is_stored_in(run):
    """An untrained decoder says grey; an image that is grey is then cheap, and noise is not."""
    rng = np.random.default_rng(0)
    grey = np.full((4, 8, 8, 1), 128, np.uint8)
    noise = rng.integers(0, 256, (4, 8, 8, 1), np.uint8)
    found = run("discretised_logistic", np.concatenate([grey, noise]), names=("bits_per_dim",))
    assert (found["bits_per_dim"][:4] < 8).all()
    assert (found["bits_per_dim"][4:] > 8).all()


def test_corrected_bernoulli_does_not_count_the_entropy_of_grey(run):
    """The cross-entropy less the entropy is the divergence, here from a decoder that says grey."""
    images = np.stack([np.full((8, 8, 1), level, np.uint8) for level in (0, 64, 128, 255)])
    found = run("bernoulli", images, 64, names=("nll", "corrected_nll"))
    x = np.clip(images / 255, 1e-12, 1 - 1e-12)
    entropy = -(x * np.log(x) + (1 - x) * np.log1p(-x)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(found["corrected_nll"], found["nll"] - entropy, rtol=1e-3, atol=1e-3)
    assert np.ptp(found["nll"]) < 5 < np.ptp(found["corrected_nll"])
    assert found["corrected_nll"].argmin() == 2


@pytest.mark.parametrize("likelihood", ["gaussian", "laplace", "gaussian_learned"])
def test_correction_is_constant_where_every_image_can_be_met_as_well(run, dataset, likelihood):
    found = run(likelihood, dataset.test.images, names=("nll", "corrected_nll"))
    assert np.ptp(found["corrected_nll"] - found["nll"]) < 0.1


def test_typicality_is_the_distance_from_the_mean_of_training_normals(run, dataset):
    train = run("gaussian", dataset.train.images, names=("elbo",))["elbo"]
    found = run("gaussian", dataset.test.images, names=("elbo", "typicality"))
    np.testing.assert_allclose(
        found["typicality"], np.abs(found["elbo"] - train.mean()), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_png_bits_are_those_of_a_file_that_opens_again(channels):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 9, 7, channels), np.uint8)
    images[1] = 7
    bits = probabilistic.png_bits(images) / images[0].size
    file = io.BytesIO()
    Image.fromarray(images[0].squeeze()).save(file, "png", optimize=True)
    np.testing.assert_array_equal(np.asarray(Image.open(file)).reshape(images[0].shape), images[0])
    assert bits[0] == pytest.approx(8 * len(file.getvalue()) / images[0].size)
    assert bits[1] < bits[0]


def test_scores_that_share_the_estimate_cost_one(config):
    """K decodes once: the step holds one loop, however many scores ask."""
    model = build_model(config)
    params = init_params(model, jax.random.key(0))
    loops = []
    for names in (("nll",), ("nll", "bits_per_dim", "corrected_nll")):

        def step(params, image, names=names):
            batch = Batch(image, jnp.arange(2), jnp.ones(2), jnp.zeros(2, jnp.int32))
            view = build_view(BoundModel(model, params), batch, config.scoring, 0, {}, {})
            return [SCORES[name](view) for name in names]

        jaxpr = jax.make_jaxpr(step)(params, jnp.zeros((2, 8, 8, 1), jnp.uint8))
        loops.append(str(jaxpr).count("scan["))
    assert loops[0] == loops[1] == 1
