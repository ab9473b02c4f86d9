import dataclasses

import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.exploration.decoded_paths import decode_interpolations, decode_traversals
from vae_jax.exploration.image_choice import choose_pairs
from vae_jax.exploration.paths import interpolate_linearly, interpolate_spherically
from vae_jax.exploration.training_set import encode_training_set
from vae_jax.model.vae import Posterior


def test_an_interpolation_starts_and_ends_with_the_reconstructions(make_trained):
    trained = make_trained()
    interpolations = decode_interpolations(trained, 2)
    assert interpolations.linear.shape == interpolations.spherical.shape == (2, 5, 8, 8, 1)
    pairs = choose_pairs(trained.dataset.test, 2, trained.config.seed)
    for pair, (start, end) in enumerate(pairs):
        images = trained.dataset.test.images[[start, end]]
        np.testing.assert_allclose(interpolations.ends[pair], images / np.float32(255))
        reconstructions = trained.reconstruct(images).x_hat
        for path in (interpolations.linear, interpolations.spherical):
            np.testing.assert_allclose(path[pair, [0, -1]], reconstructions, atol=1e-5)


def test_the_images_between_are_decoded_from_the_paths_between_the_posterior_means(make_trained):
    trained = make_trained()
    interpolations = decode_interpolations(trained, 1)
    pair = choose_pairs(trained.dataset.test, 1, trained.config.seed)[0]
    start, end = trained.encode(trained.dataset.test.images[pair]).mu
    for images, path in (
        (interpolations.linear, interpolate_linearly),
        (interpolations.spherical, interpolate_spherically),
    ):
        np.testing.assert_allclose(images[0], trained.decode(path(start, end, 5)), atol=1e-5)


def test_a_conditional_model_decodes_the_class_of_the_nearer_end(make_trained):
    trained = make_trained(num_classes=2)
    trained.config.explore.steps = 4
    interpolations = decode_interpolations(trained, 1)
    assert interpolations.conditional
    pair = choose_pairs(trained.dataset.test, 1, trained.config.seed)[0]
    first, second = (["left", "right"].index(trained.dataset.test.classes[row]) for row in pair)
    z = interpolate_linearly(*trained.encode(trained.dataset.test.images[pair]).mu, 4)
    expected = trained.decode(z, np.array([first, first, second, second], np.int32))
    np.testing.assert_allclose(interpolations.linear[0], expected, atol=1e-5)


def test_a_traversal_passes_through_the_image_of_the_mean_code(make_trained):
    trained = make_trained(kind="ae")
    training_set = encode_training_set(trained)
    traversals = decode_traversals(trained, training_set, 2)
    assert traversals.images.shape == (2, 5, 8, 8, 1)
    assert traversals.class_name is None
    middle = trained.decode(training_set.posterior.mu.mean(axis=0, keepdims=True))[0]
    np.testing.assert_allclose(traversals.images[0, 2], middle, atol=1e-5)
    np.testing.assert_allclose(traversals.images[1, 2], middle, atol=1e-5)


def test_no_more_dimensions_are_decoded_than_requested(make_trained):
    trained = make_trained(kind="ae")
    traversals = decode_traversals(trained, encode_training_set(trained), 1)
    assert len(traversals.images) == 1
    assert len(traversals.dimensions.active) == 2


def test_every_image_of_a_conditional_traversal_has_the_first_class(make_trained):
    trained = make_trained(num_classes=2, kind="ae")
    training_set = encode_training_set(trained)
    traversals = decode_traversals(trained, training_set, 2)
    assert traversals.class_name == "left"
    mean = training_set.posterior.mu.mean(axis=0, keepdims=True)
    expected = trained.decode(mean, np.zeros(1, np.int32))[0]
    np.testing.assert_allclose(traversals.images[0, 2], expected, atol=1e-5)


def test_a_model_without_active_dimensions_has_no_traversals(make_trained):
    trained = make_trained()
    collapsed = Posterior(np.zeros((40, 2), np.float32), np.zeros((40, 2), np.float32))
    training_set = dataclasses.replace(encode_training_set(trained), posterior=collapsed)
    with pytest.raises(UserError, match="found none among 2"):
        decode_traversals(trained, training_set, 2)
