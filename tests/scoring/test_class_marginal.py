import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from vae_jax.config import default
from vae_jax.model.vae import BoundModel, build_model, init_params
from vae_jax.scoring.class_marginal import bind_most_likely_class, marginalise_classes
from vae_jax.scoring.fits import fit_scores
from vae_jax.scoring.gradient import compute_terms_at_mean
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.scorer import make_scorer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_compilation")]

NUM_CLASSES, NUM_IMAGES = 3, 5
NAMES = ("mse", "elbo", "nll", "bits_per_dim", "input_complexity", "corrected_nll", "typicality")
CLASS_INDICES = np.array([0, 1, 2, 1, 0], np.int32)


class Subject:
    """An untrained conditional model, images, and their scores."""

    def __init__(self):
        config = default()
        config.model.widths, config.model.latent_dim = (2, 4), 4
        config.model.num_classes = NUM_CLASSES
        config.scoring.importance_samples = 2
        config.scoring.knn_k = 1
        self.scoring_config = config.scoring
        model = build_model(config)
        params = init_params(model, jax.random.key(0))
        # Classes have little influence in a fresh model; here they must have some.
        params["decoder"]["unflatten"]["kernel"] = params["decoder"]["unflatten"]["kernel"] * 5
        self.trained = TrainedModel(model, params, NUM_IMAGES)
        self.images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 8, 8, 1), np.uint8)
        self.fits = self.fit(NAMES)

    def fit(self, names, class_indices=None):
        return fit_scores(names, self.trained, self.images, self.scoring_config, 0, class_indices)

    @functools.cached_property
    def scorer(self):
        scoring_config = self.scoring_config.copy_and_resolve_references()
        scoring_config.batch_size = NUM_IMAGES
        names = (*NAMES, "kl")
        return make_scorer(self.trained.model, names, scoring_config, 0, jax.devices()[:1])

    def score(self, class_indices=None, rows=None):
        return self.scorer(
            self.trained.params, self.images, class_indices, rows=rows, fits=self.fits
        )

    def score_under(self, class_index):
        return self.score(np.full(NUM_IMAGES, class_index, np.int32))


@pytest.fixture(scope="module")
def subject():
    return Subject()


def test_marginal_scores_follow_from_the_scores_under_each_class(subject):
    by_class = [subject.score_under(k) for k in range(NUM_CLASSES)]
    marginal = subject.score()
    under = {name: np.stack([columns[name] for columns in by_class]) for name in marginal}
    for name in ("elbo", "nll", "corrected_nll"):
        mixture = np.log(NUM_CLASSES) - special.logsumexp(-under[name], axis=0)
        np.testing.assert_allclose(marginal[name], mixture, rtol=1e-4, atol=1e-3)
    # The relations between these scores hold for the mixture of classes, too.
    bits = marginal["nll"] / (64 * np.log(2)) + 8
    np.testing.assert_allclose(marginal["bits_per_dim"], bits, rtol=1e-5)
    png_bits = under["bits_per_dim"][0] - under["input_complexity"][0]
    np.testing.assert_allclose(marginal["input_complexity"], bits - png_bits, atol=1e-4)
    # The training normals are the images themselves.
    expected = np.abs(marginal["elbo"] - marginal["elbo"].mean())
    np.testing.assert_allclose(marginal["typicality"], expected, rtol=1e-3, atol=0.01)
    weights = special.softmax(-under["elbo"], axis=0)
    for name in ("mse", "kl"):
        np.testing.assert_allclose(marginal[name], (weights * under[name]).sum(0), rtol=1e-3)


def test_scores_depend_on_the_class(subject):
    first, second = (subject.score_under(k) for k in range(2))
    assert np.all(np.abs(first["elbo"] - second["elbo"]) > 1e-3)


def test_every_image_is_scored_under_its_own_class_whatever_the_batches_are(subject):
    order = np.array([4, 2, 0, 1, 3, 2])  # a full batch, then a padded one
    mixed = subject.score(CLASS_INDICES, rows=order)
    for k in range(NUM_CLASSES):
        alone = subject.score_under(k)
        places = CLASS_INDICES[order] == k
        for name, values in mixed.items():
            np.testing.assert_allclose(
                values[places], alone[name][order[places]], rtol=1e-3, atol=1e-3
            )


def test_fits_use_the_given_classes(subject):
    trained = subject.trained
    codes = subject.fit(("knn",), CLASS_INDICES)["knn"]
    x = jnp.asarray(subject.images, jnp.float32) / 255
    bound = BoundModel(trained.model, trained.params, jnp.asarray(CLASS_INDICES))
    np.testing.assert_allclose(codes, bound.encode(x).mu, rtol=1e-4, atol=1e-5)
    other = subject.fit(("knn",), (CLASS_INDICES + 1) % NUM_CLASSES)["knn"]
    assert np.abs(codes - other).max(axis=1).min() > 1e-3 * codes.std()


def test_marginal_of_equal_values_is_the_value():
    values = jnp.array([[1.0, 2.0]] * 4)
    marginal = marginalise_classes({"elbo": values, "mse": values}, jnp.zeros((4, 2)), 64, {})
    np.testing.assert_allclose(marginal["elbo"], [1, 2], rtol=1e-6)
    np.testing.assert_allclose(marginal["mse"], [1, 2], rtol=1e-6)


def test_marginal_of_an_impossible_class_is_that_of_the_others():
    losses = jnp.array([[0.0], [0.0], [500.0]])
    values = jnp.array([[1.0], [3.0], [1000.0]])
    marginal = marginalise_classes({"mse": values, "elbo": losses}, losses, 64, {})
    np.testing.assert_allclose(marginal["mse"], [2], rtol=1e-6)
    np.testing.assert_allclose(marginal["elbo"], [np.log(3) - np.log(2)], rtol=1e-5)


def test_reconstructions_use_the_most_likely_class(subject):
    model, params = subject.trained.model, subject.trained.params
    x = jnp.asarray(subject.images, jnp.float32) / 255
    losses = np.stack(
        [
            compute_terms_at_mean(BoundModel(model, params, jnp.int32(k)), x).negative_elbo
            for k in range(NUM_CLASSES)
        ]
    )
    bound = jax.jit(lambda x: bind_most_likely_class(model, params, x).class_index)(x)
    np.testing.assert_array_equal(bound, losses.argmin(axis=0))
    x_hat = dataclasses.replace(subject.trained, batch_size=2).reconstruct(subject.images).x_hat
    expected = BoundModel(model, params, bound).reconstruct(x)
    np.testing.assert_allclose(x_hat, expected, atol=1e-5)
