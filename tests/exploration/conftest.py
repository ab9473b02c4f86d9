"""Datasets of two kinds of discs, and models that nobody has trained."""

import jax
import pytest

from vae_jax.exploration.trained_run import TrainedRun
from vae_jax.model.vae import build_model, init_params


@pytest.fixture(scope="session")
def two_classes(in_halves):
    """The discs, those left of the middle and those right of it as two classes; rings stay rings."""
    return in_halves(2, "left", "right")


@pytest.fixture
def make_trained(config, two_classes):
    """(dataset, fields of the model group) -> a model with its initial parameters, beside the data."""

    def make_trained(dataset=two_classes, **fields):
        config.model.update(fields)
        config.explore.update(
            {"samples": 8, "mixture_components": 2, "steps": 5, "map_images": 20, "generated": 20,
             "classifier_epochs": 2}
        )  # fmt: skip
        model = build_model(config)
        params = init_params(model, jax.random.key(0))
        return TrainedRun(model, params, 64, config, dataset)

    return make_trained
