import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from tests.scoring.test_stored_baselines import GRID, observe
from vae_jax.data.region import Region
from vae_jax.programs.baseline_scores import blur_maps, score_baselines
from vae_jax.score_names import BASELINES
from vae_jax.scoring.baselines import Baselines
from vae_jax.scoring.stored_baselines import collect_arrays


@pytest.mark.parametrize("has_region", [False, True])
def test_baselines_equal_those_of_numpy_and_scikit_learn(dataset, has_region):
    mask = np.zeros((dataset.image_size, dataset.image_size), bool)
    mask[: dataset.image_size // 2] = True
    region = Region(mask) if has_region else None
    train, test = observe(dataset.train, 0), observe(dataset.test, 1)
    fitted = Baselines(train, 5, 0, region)
    expected = fitted.score_named(test, BASELINES)
    arrays = jax.tree.map(jnp.asarray, collect_arrays(fitted, BASELINES))
    cells = region.shrink(GRID).mask if has_region else None
    score = jax.jit(lambda images, o: score_baselines(BASELINES, arrays, images, o, cells))
    scores = score(np.asarray(test.images[:]), test.observed.arrays["features"])
    assert scores.keys() == set(BASELINES)
    for name, values in scores.items():
        # An image that equals a training image has a distance of 0, which scikit-learn does not reach.
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-3 * scale)
        far = expected[name] > 1e-2 * scale
        np.testing.assert_allclose(np.asarray(values)[far], expected[name][far], rtol=1e-4)


def test_maps_are_blurred_as_scipy_blurs_them():
    maps = np.random.default_rng(0).normal(size=(2, 9, 12)).astype(np.float32)
    for sigma in (0.7, 2.0, 5.0):
        expected = ndimage.gaussian_filter(maps, (0, sigma, sigma))
        np.testing.assert_allclose(blur_maps(jnp.asarray(maps), sigma), expected, atol=1e-5)
