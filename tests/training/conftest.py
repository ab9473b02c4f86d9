"""A small run, cheap to compile."""

import numpy as np
import pytest

from vae_jax.config import default


@pytest.fixture
def small_config():
    """The digits model with every source of randomness switched on."""
    config = default()
    config.model.widths = (8, 16)
    config.model.latent_dim = 4
    config.train.batch_size = 16
    config.augment.horizontal_flip = 0.5
    config.augment.rotation = 10.0
    config.augment.brightness = 0.1
    config.objective.beta_schedule = "linear"
    config.objective.beta_warmup = 1.0
    return config


@pytest.fixture
def images():
    """70 images of 8x8: five batches of 16, the last with six."""
    return np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1), np.uint8)
