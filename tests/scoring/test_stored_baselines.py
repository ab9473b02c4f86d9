import dataclasses

import numpy as np
import pytest

from vae_jax.data.region import Region
from vae_jax.observation.observed import ObservedImages
from vae_jax.score_names import BASELINES
from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.stored_baselines import StoredBaselines, collect_arrays

GRID = 4


def observe(examples, seed):
    """Returns the examples with random features."""
    features = np.random.default_rng(seed).normal(size=(len(examples), GRID, GRID, 8))
    arrays = {"features": features.astype(np.float16)}
    return dataclasses.replace(
        examples, observed=ObservedImages(arrays, np.zeros(len(examples), np.int32))
    )


@pytest.fixture(params=[False, True], ids=["whole image", "region"])
def region(request, dataset):
    if not request.param:
        return None
    mask = np.zeros((dataset.image_size, dataset.image_size), bool)
    mask[: dataset.image_size // 2] = True
    return Region(mask)


def test_stored_baselines_give_the_scores_of_those_that_were_fitted(dataset, region):
    train, test = observe(dataset.train, 0), observe(dataset.test, 1)
    fitted = Baselines(train, 5, 0, region)
    expected = fitted.score_named(test, BASELINES)
    stored = StoredBaselines(collect_arrays(fitted, BASELINES), region, GRID)
    scores = stored.score_named(test, BASELINES)
    assert scores.keys() == expected.keys() == set(BASELINES)
    for name, values in scores.items():
        np.testing.assert_array_equal(values, expected[name])


def test_only_the_named_baselines_are_stored(dataset):
    fitted = Baselines(observe(dataset.train, 0), 5, 0)
    assert collect_arrays(fitted, ["band_pca", "padim_max", "mse"]).keys() == {"band_pca", "padim"}
    assert collect_arrays(fitted, []) == {}
