import jax
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.model.branched import build_branches, init_branches
from vae_jax.model.vae import build_model, init_params
from vae_jax.observation.observed import get_inputs, observe_dataset
from vae_jax.scoring.inference import TrainedModel
from vae_jax.scoring.reconstruction_check import choose_samples, measure_reconstruction_errors


def test_errors_of_pixels_agree_with_reconstructions(config, dataset):
    model = build_model(config)
    trained = TrainedModel(model, init_params(model, jax.random.key(0)), 32)
    train, val = dataset.train.images, dataset.val.images
    [(name, errors)] = measure_reconstruction_errors(trained, train, val, seed=0).items()
    assert name == "pixels"
    x, x_hat = val / np.float32(255), trained.reconstruct(val).x_hat
    assert errors["posterior_mean"] == pytest.approx(np.square(x - x_hat).mean(), rel=1e-5)
    mean_image = (train / 255).mean(axis=0)
    assert errors["mean_image"] == pytest.approx(np.square(x - mean_image).mean(), rel=1e-5)
    # The error of samples is a mean over images and samples of the posterior.
    rng, posterior = np.random.default_rng(0), trained.encode(val)
    eps = rng.normal(size=(200, *posterior.mu.shape))
    z = (posterior.mu + np.exp(0.5 * posterior.logvar) * eps).reshape(-1, posterior.mu.shape[1])
    samples = trained.decode(z.astype(np.float32)).reshape(200, *x.shape)
    expected = np.square(x - samples).mean(axis=(1, 2, 3, 4))
    limit = 4 * expected.std() + 1e-6
    assert abs(errors["posterior_sample"] - expected.mean()) < limit


def test_an_autoencoder_has_no_samples(config, dataset):
    config.model.kind = "ae"
    model = build_model(config)
    trained = TrainedModel(model, init_params(model, jax.random.key(0)), 32)
    errors = measure_reconstruction_errors(trained, dataset.train.images, dataset.val.images, 0)
    assert set(errors["pixels"]) == {"posterior_mean", "mean_image"}


def test_bands_are_compared_in_standardised_units_so_the_mean_explains_nothing(
    config, dataset, tmp_path
):
    config.data.dir = str(tmp_path)
    config.model.observations = ("bands",)
    config.model.band_size, config.model.band_widths = 32, (4,)
    dataset = observe_dataset(dataset, config)
    model = build_branches(config)
    trained = TrainedModel(model, init_branches(model, jax.random.key(0)), 32)
    train, val = get_inputs(dataset.train), get_inputs(dataset.val)
    errors = measure_reconstruction_errors(trained, train, val, seed=0)
    assert list(errors) == ["bands"]
    bands = {name: inputs.arrays["bands"] for name, inputs in (("train", train), ("val", val))}
    x, mean = bands["val"].astype(np.float64), bands["train"].mean(axis=0, dtype=np.float64)
    assert errors["bands"]["mean_image"] == pytest.approx(np.square(x - mean).mean(), rel=1e-3)
    x_hat = trained.select_branch("bands").reconstruct(bands["val"]).x_hat
    expected = np.square(x - x_hat).mean()
    assert errors["bands"]["posterior_mean"] == pytest.approx(expected, rel=1e-3)
    # Over the training images themselves each band has a variance of 1.
    of_train = measure_reconstruction_errors(trained, train, train, seed=0)
    assert of_train["bands"]["mean_image"] == pytest.approx(1, abs=0.1)


def test_samples_are_used_where_one_of_them_reconstructs_validation_normals_better():
    worse_mean = {"pixels": {"posterior_mean": 0.2, "posterior_sample": 0.1, "mean_image": 0.3}}
    better_mean = {"pixels": {"posterior_mean": 0.1, "posterior_sample": 0.2, "mean_image": 0.3}}
    autoencoder = {"pixels": {"posterior_mean": 0.1, "mean_image": 0.3}}
    scoring_config = default().scoring
    assert choose_samples(scoring_config, worse_mean).samples > 1
    assert choose_samples(scoring_config, better_mean).samples == 0
    assert choose_samples(scoring_config, autoencoder).samples == 0
    scoring_config.samples = 3
    assert choose_samples(scoring_config, worse_mean).samples == 3
