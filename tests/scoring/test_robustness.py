import numpy as np
import pytest

from vae_jax.model.vae import BoundModel
from vae_jax.scoring.robustness import LEVELS, measure_noise_robustness

pytestmark = pytest.mark.usefixtures("quick_compilation")


@pytest.fixture
def trained(make_setup):
    return make_setup().trained


def test_error_without_noise_is_the_error_of_the_reconstruction(trained, dataset):
    images = dataset.test.images
    entries = measure_noise_robustness(trained.with_max_batch_size(7), images, seed=0)
    x_hat = trained.reconstruct(images).x_hat
    assert [entry["noise_std"] for entry in entries] == list(LEVELS)
    assert entries[0]["mse"] == pytest.approx(
        np.square(images / np.float32(255) - x_hat).mean(), rel=1e-5
    )


def test_errors_do_not_depend_on_batches_or_on_the_order_of_images(trained, dataset):
    images = dataset.test.images
    errors = [entry["mse"] for entry in measure_noise_robustness(trained, images, seed=0)]
    reversed_entries = measure_noise_robustness(
        trained.with_max_batch_size(4), images[::-1], seed=0
    )
    np.testing.assert_allclose(errors, [entry["mse"] for entry in reversed_entries], rtol=1e-5)


def test_a_model_that_returns_its_input_has_the_noise_as_its_error(trained, dataset, monkeypatch):
    """The mean square of the noise grows as the square of its level."""
    monkeypatch.setattr(BoundModel, "reconstruct", lambda self, x: x)
    entries = measure_noise_robustness(trained, dataset.test.images, seed=0)
    np.testing.assert_allclose(
        [entry["mse"] for entry in entries], np.square(LEVELS), rtol=0.1, atol=1e-7
    )
