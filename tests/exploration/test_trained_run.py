import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import workdir as workdir_lib
from vae_jax.errors import UserError
from vae_jax.exploration.trained_run import load_trained_run
from vae_jax.model.vae import BoundModel


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


def test_only_a_conditional_model_has_class_indices(make_trained):
    trained = make_trained()
    assert trained.class_indices(trained.dataset.train) is None


def test_class_indices_follow_the_sorted_classes_of_the_training_images(make_trained):
    trained = make_trained(num_classes=2)
    test = trained.dataset.test
    expected = [{"left": 0, "right": 1, "ring": -1}[name] for name in test.classes]
    assert trained.class_indices(test).tolist() == expected


def test_a_run_without_a_checkpoint_is_rejected(tmp_path, config, dataset):
    workdir_lib.claim_workdir(tmp_path, config)
    with pytest.raises(UserError, match="holds no checkpoint"):
        load_trained_run(config, tmp_path, dataset)


def test_encoding_no_image_is_rejected(make_trained):
    trained = make_trained()
    with pytest.raises(UserError, match="the model received no images"):
        trained.encode(trained.dataset.train.images[:0])
