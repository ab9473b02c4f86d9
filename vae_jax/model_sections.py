"""The sections of results.json and details.json that describe the model and not its decisions."""

from vae_jax import results
from vae_jax.data.image_store import take_images
from vae_jax.model.likelihood_meaning import describe_meaning
from vae_jax.observation.observed import get_inputs, select_inputs
from vae_jax.scoring.robustness import measure_noise_robustness
from vae_jax.scoring.role_scores import Columns
from vae_jax.scoring.setup import ScoringSetup

_MAX_BATCH_SIZE = 64  # images per step where a step is not compiled for scoring


def describe_model(setup: ScoringSetup, test_columns: Columns) -> dict[str, dict | list]:
    """Returns the sections about reconstructions, robustness to noise, likelihood and latent dimensions.

    Args:
        setup: model, data and scoring config.
        test_columns: scores and figures of the test images.
    """
    sections = describe_test_images(setup, test_columns)
    sections["reconstruction_errors"] = setup.reconstruction_errors
    if setup.trained.model.sampled:
        inputs = get_inputs(setup.dataset.calibration)
        sections["latent"] = results.measure_latent(
            {
                branch: setup.trained.select_branch(branch).encode(select_inputs(inputs, branch))
                for branch in setup.trained.model.branches
            }
        )
    return sections


def describe_test_images(setup: ScoringSetup, test_columns: Columns) -> dict[str, dict | list]:
    """Returns the sections about test images alone: reconstructions, robustness to noise and likelihood.

    Args:
        setup: model, data and scoring config; only the test images are read.
        test_columns: scores and figures of the test images.
    """
    sections: dict[str, dict | list] = {}
    test, scoring_config = setup.dataset.test, setup.scoring_config
    normal_images = take_images(test.images, test.labels == 0)
    if "pixels" in setup.trained.model.branches:
        sections["reconstruction"] = results.measure_reconstruction(
            test_columns, test.labels, scoring_config.noise_std
        )
    if len(normal_images) and "pixels" in setup.trained.model.branches:
        sections["robustness"] = measure_noise_robustness(
            setup.trained.with_max_batch_size(_MAX_BATCH_SIZE), normal_images, setup.seed
        )
    if setup.trained.model.sampled:
        sections["likelihood"] = results.measure_likelihood(
            test_columns,
            test.labels,
            scoring_config.importance_samples,
            _describe_likelihood(setup),
        )
    return sections


def _describe_likelihood(setup: ScoringSetup) -> str:
    pixels = setup.trained.model.branches.get("pixels")
    name = "normal" if pixels is None else pixels.likelihood_name
    preprocessing = setup.dataset.preprocessing
    is_binary = preprocessing is not None and preprocessing.is_binary
    return describe_meaning(name, is_binary, pixels is not None)
