import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.model.vae import BoundModel
from vae_jax.scoring.inference import draw_prior


def test_codes_and_images_do_not_depend_on_the_batch_size(make_trained):
    trained = make_trained()
    images = trained.dataset.train.images
    mu, x_hat = trained.encode(images).mu, trained.reconstruct(images).x_hat
    assert mu.shape == (40, 2)
    in_small_batches = dataclasses.replace(trained, batch_size=7)
    np.testing.assert_allclose(in_small_batches.encode(images).mu, mu, atol=1e-5)
    np.testing.assert_allclose(in_small_batches.reconstruct(images).x_hat, x_hat, atol=1e-5)


def test_a_reconstruction_is_the_decoded_posterior_mean(make_trained):
    trained = make_trained()
    images = trained.dataset.test.images
    mu = trained.encode(images).mu
    np.testing.assert_allclose(trained.decode(mu), trained.reconstruct(images).x_hat, atol=1e-5)


def test_a_conditional_model_decodes_the_given_classes_or_else_the_classes_in_turn(make_trained):
    trained = make_trained(num_classes=2)
    z = np.zeros((4, 2), np.float32)
    class_indices = np.array([1, 1, 0, 0], np.int32)
    bound = BoundModel(trained.model, trained.params, jnp.asarray(class_indices))
    expected = trained.model.mean(bound.decode(jnp.asarray(z)))
    images = trained.decode(z, class_indices)
    np.testing.assert_allclose(images, expected, atol=1e-6)
    assert not np.allclose(images[0], images[2])
    np.testing.assert_allclose(trained.decode(z), images[[2, 0, 2, 0]], atol=1e-6)


def test_encoding_no_image_is_rejected(make_trained):
    trained = make_trained()
    with pytest.raises(UserError, match="the model received no images"):
        trained.encode(trained.dataset.train.images[:0])


def test_draws_from_the_prior_are_standard_normal_and_do_not_depend_on_their_number(make_trained):
    model = make_trained(latent_dim=4).model
    z = draw_prior(model, 4000, seed=0)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.06)
    np.testing.assert_allclose(np.cov(z, rowvar=False), np.eye(4), atol=0.08)
    np.testing.assert_allclose(draw_prior(model, 10, seed=0), z[:10], rtol=1e-5, atol=1e-6)
    assert not np.allclose(draw_prior(model, 10, seed=1), z[:10])


def test_an_autoencoder_has_no_prior(make_trained):
    with pytest.raises(UserError, match="no prior"):
        draw_prior(make_trained(kind="ae").model, 3, seed=0)


def test_prior_samples_are_the_decoded_draws_from_the_prior(make_trained):
    trained = make_trained()
    images = trained.sample_prior(5, seed=3)
    np.testing.assert_allclose(images, trained.decode(draw_prior(trained.model, 5, 3)), atol=1e-6)


def test_an_autoencoder_has_no_prior_samples(make_trained):
    assert make_trained(kind="ae").sample_prior(5, seed=3).shape == (0, 8, 8, 1)


def test_given_classes_replace_the_inferred_ones(make_trained):
    trained = make_trained(num_classes=2)
    images = trained.dataset.test.images[:6]
    first, second = (
        trained.reconstruct(images, np.full(6, index, np.int32)).x_hat for index in (0, 1)
    )
    inferred = trained.reconstruct(images).x_hat
    is_either = [
        np.allclose(image, a, atol=1e-6) or np.allclose(image, b, atol=1e-6)
        for image, a, b in zip(inferred, first, second, strict=True)
    ]
    assert not np.allclose(first, second)
    assert all(is_either)
