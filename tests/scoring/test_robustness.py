import jax
import numpy as np
import pytest

from vae_jax.model.vae import BoundModel, build_model, init_params
from vae_jax.scoring.robustness import LEVELS, noise_sweep


@pytest.fixture
def subject(config, dataset):
    model = build_model(config)
    return model, init_params(model, jax.random.key(0)), dataset.test.images


def test_without_noise_it_is_the_error_of_the_reconstruction(subject):
    model, params, images = subject
    found = noise_sweep(model, params, images, 7, seed=0)
    x = images / np.float32(255)
    x_hat = np.asarray(BoundModel(model, params).reconstruct(jax.numpy.asarray(x)))
    assert [entry["noise_std"] for entry in found] == list(LEVELS)
    assert found[0]["mse"] == pytest.approx(np.square(x - x_hat).mean(), rel=1e-5)


def test_it_does_not_depend_on_batches_or_on_the_order_of_images(subject):
    model, params, images = subject
    whole = [entry["mse"] for entry in noise_sweep(model, params, images, 64, seed=0)]
    turned = [entry["mse"] for entry in noise_sweep(model, params, images[::-1], 4, seed=0)]
    np.testing.assert_allclose(whole, turned, rtol=1e-5)


def test_a_model_that_copies_its_input_copies_the_noise(subject, monkeypatch):
    """The error of a copy is the noise itself: its mean square grows as the square of the level."""
    model, params, images = subject
    monkeypatch.setattr(BoundModel, "reconstruct", lambda self, x: x)
    found = noise_sweep(model, params, images, 64, seed=0)
    np.testing.assert_allclose(
        [entry["mse"] for entry in found], np.square(LEVELS), rtol=0.1, atol=1e-7
    )
