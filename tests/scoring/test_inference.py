import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.model.vae import BoundModel
from vae_jax.scoring.inference import draw_prior

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def trained(make_setup):
    return make_setup().trained.with_max_batch_size(4)


@pytest.fixture
def conditional(make_setup, config):
    """An untrained model of three classes whose decoder ignores z."""
    config.model.num_classes = 3
    trained = make_setup().trained.with_max_batch_size(4)
    unflatten = trained.params["decoder"]["unflatten"]
    kernel = unflatten["kernel"].at[: trained.model.latent_dim].set(0)
    decoder = trained.params["decoder"] | {"unflatten": unflatten | {"kernel": kernel}}
    return dataclasses.replace(trained, params=trained.params | {"decoder": decoder})


def test_batches_do_not_change_posteriors_and_reconstructions(trained, dataset):
    images = dataset.test.images[:7]
    bound, x = BoundModel(trained.model, trained.params), jnp.asarray(images, jnp.float32) / 255
    outputs = trained.reconstruct(images)
    np.testing.assert_allclose(outputs.x_hat, bound.reconstruct(x), atol=1e-5)
    expected = bound.encode(x)
    for posterior in (outputs.posterior, trained.encode(images)):
        np.testing.assert_allclose(posterior.mu, expected.mu, atol=1e-5)
        np.testing.assert_allclose(posterior.logvar, expected.logvar, atol=1e-5)


def test_a_reconstruction_is_the_decoded_posterior_mean(trained, dataset):
    outputs = trained.reconstruct(dataset.test.images)
    np.testing.assert_allclose(trained.decode(outputs.posterior.mu), outputs.x_hat, atol=1e-5)


def test_map_batches_returns_one_row_per_image_in_order(trained, dataset):
    images = dataset.test.images
    sums = trained.map_batches(lambda params, batch: batch.image.sum(axis=(1, 2, 3)), images)
    np.testing.assert_array_equal(sums, images.sum(axis=(1, 2, 3)))


def test_the_batch_size_is_only_ever_lowered(trained):
    assert trained.with_max_batch_size(2).batch_size == 2
    assert trained.with_max_batch_size(99).batch_size == 4


def test_samples_are_decoded_codes_of_the_prior(trained):
    codes = draw_prior(trained.model, 6, seed=3)
    np.testing.assert_allclose(trained.sample_prior(6, seed=3), trained.decode(codes), atol=1e-6)
    np.testing.assert_allclose(draw_prior(trained.model, 2, seed=3), codes[:2], atol=1e-6)


def test_decoded_codes_take_the_classes_in_turn(conditional):
    samples = conditional.sample_prior(7, seed=0)
    np.testing.assert_allclose(samples[0], samples[3], atol=1e-6)
    assert np.abs(samples[0] - samples[1]).max() > 1e-3
    chosen = conditional.decode(draw_prior(conditional.model, 2, 0), np.array([1, 1], np.int32))
    np.testing.assert_allclose(chosen, samples[[1, 1]], atol=1e-6)


def test_an_autoencoder_has_no_samples(make_setup, config):
    config.model.kind = "ae"
    trained = make_setup().trained
    assert trained.sample_prior(5, seed=0).shape == (0, 8, 8, 1)
    with pytest.raises(UserError, match="an autoencoder has no prior"):
        draw_prior(trained.model, 5, seed=0)


def test_no_images_are_refused(trained, dataset):
    with pytest.raises(UserError, match="the model received no images"):
        trained.encode(dataset.test.images[:0])
