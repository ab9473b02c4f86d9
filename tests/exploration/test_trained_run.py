import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import workdir as workdir_lib
from vae_jax.errors import UserError
from vae_jax.exploration import trained_run as trained_lib
from vae_jax.model.vae import BoundModel


def test_codes_and_images_do_not_depend_on_the_batch(make_trained):
    trained = make_trained()
    images = trained.dataset.train.images
    whole = trained.encode(images), trained.reconstruct(images).x_hat
    again = dataclasses.replace(trained, batch_size=7)
    np.testing.assert_allclose(again.encode(images).mu, whole[0].mu, atol=1e-5)
    np.testing.assert_allclose(again.reconstruct(images).x_hat, whole[1], atol=1e-5)
    assert whole[0].mu.shape == (40, 2)


def test_a_reconstruction_is_the_decoded_posterior_mean(make_trained):
    trained = make_trained()
    images = trained.dataset.test.images
    mu = trained.encode(images).mu
    np.testing.assert_allclose(trained.decode(mu), trained.reconstruct(images).x_hat, atol=1e-5)


def test_a_conditional_model_decodes_the_class_that_is_given(make_trained):
    trained = make_trained(num_classes=2)
    z = np.zeros((4, 2), np.float32)
    given = np.array([1, 1, 0, 0], np.int32)
    expected = trained.model.mean(
        BoundModel(trained.model, trained.params, jnp.asarray(given)).decode(jnp.asarray(z))
    )
    found = trained.decode(z, given)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert not np.allclose(found[0], found[2])
    in_turn = trained.decode(z)
    np.testing.assert_allclose(in_turn, found[[2, 0, 2, 0]], atol=1e-6)


def test_a_run_without_a_checkpoint_is_refused(tmp_path, config, dataset):
    workdir_lib.claim_workdir(tmp_path, config)
    with pytest.raises(UserError, match="holds no checkpoint"):
        trained_lib.load(config, tmp_path, dataset)


def test_no_images_are_refused(make_trained):
    trained = make_trained()
    with pytest.raises(UserError, match="was given no image"):
        trained.encode(trained.dataset.train.images[:0])
