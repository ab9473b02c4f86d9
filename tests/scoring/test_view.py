import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.data.batches import Batch, compute_content_index
from vae_jax.data.region import load_region
from vae_jax.model import importance
from vae_jax.model.vae import BoundModel
from vae_jax.scoring.scorer import build_view

pytestmark = pytest.mark.usefixtures("quick_compilation")


def view_values(setup, images):
    """Keys and likelihood of the images' view, as arrays."""
    index = jnp.asarray(compute_content_index(images))
    count = len(images)
    batch = Batch(jnp.asarray(images), index, jnp.ones(count), jnp.zeros(count, jnp.int32))

    @jax.jit
    def compute(params, batch):
        bound = BoundModel(setup.trained.model, params)
        view = build_view(bound, batch, setup.scoring_config, setup.seed, {}, {})
        first, second = view.log_likelihood, view.log_likelihood
        assert first is second  # one estimate for all scores
        keys = jax.vmap(lambda key: jax.random.fold_in(key, 0))(view.keys)
        expected = importance.log_likelihood(bound, view.x, view.posterior, keys, 3)
        return jax.random.key_data(view.keys), first, expected

    return compute(setup.trained.params, batch)


def test_the_keys_and_the_likelihood_of_an_image_do_not_depend_on_its_batch(
    make_setup, config, dataset
):
    config.scoring.importance_samples = 3
    setup, images = make_setup(), dataset.test.images[:4]
    keys, likelihood, expected = view_values(setup, images)
    np.testing.assert_allclose(likelihood, expected, rtol=1e-6)
    assert len(np.unique(keys, axis=0)) == 4
    keys_of_two, likelihood_of_two, _ = view_values(setup, images[[2, 0]])
    np.testing.assert_array_equal(keys_of_two, keys[np.array([2, 0])])
    np.testing.assert_allclose(likelihood_of_two, likelihood[np.array([2, 0])], rtol=1e-5)


def test_only_values_in_the_region_of_interest_count(make_setup, make_view, config):
    assert make_view(2).num_values == 64
    config.data.roi = "ellipse"
    region = load_region(config.data)
    model = make_setup(region=region).trained.model
    assert make_view(2, bound=BoundModel(model, {})).num_values == int(region.mask.sum()) < 64
