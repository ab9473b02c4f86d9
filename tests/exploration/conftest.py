"""Datasets of two kinds of discs, and models that nobody has trained."""

import dataclasses

import jax
import numpy as np
import pytest

from vae_jax.exploration.trained import Trained
from vae_jax.model.vae import build_model, init_params


@pytest.fixture(scope="session")
def two_classes(dataset):
    """The discs, those left of the middle and those right of it as two classes; rings stay rings."""

    def name(examples):
        weight = examples.images[..., 0].astype(float).sum(axis=1)
        centre = (weight * np.arange(8)).sum(axis=1) / weight.sum(axis=1)
        sides = np.where(centre < 3.5, "left", "right")
        classes = np.where(examples.labels == 1, "ring", sides).tolist()
        return dataclasses.replace(examples, classes=classes)

    roles = ("train", "val", "calibration", "test")
    return dataclasses.replace(dataset, **{role: name(getattr(dataset, role)) for role in roles})


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
        return Trained(config, model, init_params(model, jax.random.key(0)), dataset)

    return make_trained
