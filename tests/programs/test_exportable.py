import dataclasses

import pytest

from vae_jax.programs.exportable import split_names

pytestmark = pytest.mark.slow


def test_scores_that_cannot_be_exported_are_named_with_the_reason(parts):
    config = parts.config.copy_and_resolve_references()
    config.scoring.fusion = ("mse", "likelihood_regret")
    validation = dict.fromkeys(("mse", "likelihood_regret"), parts.fitted.validation["mse"])
    parts = dataclasses.replace(
        parts,
        config=config,
        names=("mse", "likelihood_regret", "input_complexity", "fusion", "pca"),
        fitted=dataclasses.replace(parts.fitted, validation=validation),
    )
    kept, reasons = split_names(parts)
    assert kept == ["mse", "pca"]
    assert reasons == {
        "likelihood_regret": "it optimises for each image",
        "input_complexity": "it reads the size of the image as a compressed file",
        "fusion": "it reads likelihood_regret: it optimises for each image",
    }
