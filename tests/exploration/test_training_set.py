import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration.training_set import draw_codes, encode_training_set
from vae_jax.scoring.inference import draw_prior


def test_the_posteriors_of_a_class_are_those_of_its_images(make_trained):
    trained = make_trained()
    training_set = encode_training_set(trained)
    rows = np.flatnonzero(np.array(trained.dataset.train.classes) == "left")
    expected = trained.encode(trained.dataset.train.images[rows])
    posterior = training_set.select_class("left")
    np.testing.assert_allclose(posterior.mu, expected.mu, atol=1e-5)
    np.testing.assert_allclose(posterior.logvar, expected.logvar, atol=1e-5)


def test_codes_are_drawn_from_the_prior_first_and_then_from_the_mixture(make_trained):
    trained = make_trained()
    codes = draw_codes(trained, encode_training_set(trained), 5)
    assert list(codes) == ["prior", "mixture of 2 over training codes"]
    np.testing.assert_array_equal(codes["prior"], draw_prior(trained.model, 5, trained.config.seed))
    assert codes["mixture of 2 over training codes"].shape == (5, 2)


def test_codes_of_an_autoencoder_are_drawn_from_the_mixture_alone(make_trained):
    trained = make_trained(kind="ae")
    codes = draw_codes(trained, encode_training_set(trained), 5)
    assert list(codes) == ["mixture of 2 over training codes"]


def test_a_mixture_has_no_more_components_than_training_images(make_trained):
    trained = make_trained()
    trained.config.explore.mixture_components = 100
    assert list(draw_codes(trained, encode_training_set(trained), 5))[1] == (
        "mixture of 40 over training codes"
    )


def test_one_training_image_is_rejected(make_trained, two_classes):
    train = two_classes.train.take(np.array([0]))
    with pytest.raises(UserError, match="at least two training images; found 1"):
        encode_training_set(make_trained(dataclasses.replace(two_classes, train=train)))
