import dataclasses

import numpy as np
import pytest

from vae_jax.exploration.decoded_paths import Interpolations, Traversals
from vae_jax.exploration.paths import LatentDimensions
from vae_jax.report.exploration import latent_sections
from vae_jax.report.exploration.latent_sections import (
    make_interpolation_section,
    make_traversal_section,
)


@pytest.fixture
def traversals():
    """Traversals of two of three active dimensions out of four."""
    dimensions = LatentDimensions(
        np.array([3, 0, 2]), np.array([2.5, 1.0, 0.1]), np.zeros(4), np.ones(4)
    )
    images = np.zeros((2, 3, 8, 8, 1), np.float32)
    return Traversals(images, dimensions, sampled=True, class_name=None)


@pytest.fixture
def interpolations():
    """Interpolations whose brightness identifies the pair and the path."""
    shape = (2, 3, 8, 8, 1)
    pair = np.array([0.0, 0.1], np.float32)[:, None, None, None, None]
    return Interpolations(
        linear=np.full(shape, 0.2, np.float32) + pair,
        spherical=np.full(shape, 0.4, np.float32) + pair,
        ends=np.stack([np.full((2, 8, 8, 1), value, np.float32) for value in (0.0, 1.0)], axis=1),
        classes=[("a", "b"), ("a", "c")],
        conditional=False,
    )


def test_the_text_counts_active_and_shown_dimensions(traversals):
    (text,) = make_traversal_section(traversals).text
    assert text == (
        "3 of 4 dimensions are active, which means that the posterior mean varies over images with a "
        "variance of more than 0.01. 3 of them have a KL divergence of more than 0.05 nats. Together, the "
        "active dimensions have 3.600 nats per image: the codes tell no more than that about an image. "
        "The figure shows the first 2, in descending order of KL divergence."
    )


def test_the_text_names_the_class_of_a_conditional_model(traversals):
    section = make_traversal_section(dataclasses.replace(traversals, class_name="cat"))
    assert section.text[1] == "The decoder is given the class cat for every image."


def test_an_autoencoder_is_described_without_posteriors(traversals):
    (text,) = make_traversal_section(dataclasses.replace(traversals, sampled=False)).text
    assert text == (
        "3 of 4 dimensions are active. The figure shows the first 2, in descending order of variance of "
        "the codes."
    )


def test_rows_of_a_traversal_are_labelled_with_dimension_and_kl(traversals, record_drawings):
    calls = record_drawings(latent_sections, "draw_image_rows")
    make_traversal_section(traversals)
    _, title, _, labels, _, columns = calls[0]
    assert title == "Traversals of 2 of 3 active dimensions"
    assert labels == ["z3, KL 2.500 nats", "z0, KL 1.000 nats"]
    assert columns == ["-3.0", "0", "+3.0"]


def test_each_pair_has_a_linear_and_a_spherical_row_between_its_images(
    interpolations, record_drawings
):
    calls = record_drawings(latent_sections, "draw_image_rows")
    record_drawings(latent_sections, "animate_back_and_forth")
    make_interpolation_section(interpolations)
    _, title, images, labels, _, columns = calls[0]
    assert title == "Interpolations between 2 pairs of test images"
    assert labels == ["a → b, linear", "a → b, spherical", "a → c, linear", "a → c, spherical"]
    assert columns == ["image", "0.0", "0.5", "1.0", "image"]
    expected = [[0, value, value, value, 1] for value in (0.2, 0.4, 0.3, 0.5)]
    np.testing.assert_allclose(images[:, :, 0, 0, 0], expected, rtol=1e-6)


def test_a_frame_of_the_animation_shows_all_pairs_at_one_step(interpolations, record_drawings):
    calls = record_drawings(latent_sections, "animate_back_and_forth")
    make_interpolation_section(interpolations)
    _, frames, headings, _, _ = calls[0]
    assert frames.shape == (3, 8, 8, 8, 1)
    assert headings == ("image", "linear", "spherical", "image")
    expected = [0, 0.2, 0.4, 1, 0, 0.3, 0.5, 1]
    np.testing.assert_allclose(frames[1, :, 0, 0, 0], expected, rtol=1e-6)
