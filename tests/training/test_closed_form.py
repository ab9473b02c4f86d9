import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.model.branched import build_branches
from vae_jax.model.linear import exact_log_likelihood, fit_probabilistic_pca
from vae_jax.observation.observed import ObservedImages
from vae_jax.training import closed_form
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state

pytestmark = pytest.mark.usefixtures("quick_compilation")


def make_config(*observations):
    config = default()
    config.model.kind, config.model.observations = "linear", observations
    config.model.update(
        {"band_size": 32, "band_latent_dim": 3, "grid": 3, "feature_channels": 5,
         "feature_latent_dim": 2, "latent_dim": 4}
    )  # fmt: skip
    return config


def fit(config, inputs):
    model = build_branches(config)
    state = create_state(make_recipe(config, model, 1), config.seed)
    fitted, cost = closed_form.fit_linear(model, state, inputs, config.seed)
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), state, fitted)
    assert all(jax.tree.leaves(same))
    assert int(fitted.step) == 1
    return model, fitted, cost


@pytest.fixture
def observed():
    rng = np.random.default_rng(0)
    arrays = {
        "features": rng.normal(size=(20, 3, 3, 5)).astype(np.float16),
        "pooled": rng.normal(size=(20, 2, 7)).astype(np.float16),
        "bands": rng.normal(size=(20, 4, 4, 6)).astype(np.float16),
    }
    return ObservedImages(arrays, np.arange(20, dtype=np.int32))


def test_every_branch_is_fitted_to_its_own_observation(observed):
    model, state, cost = fit(make_config("features", "bands"), observed)
    assert list(state.params) == list(model.branches) == ["features", "bands"]
    for name, rank in (("features", 2), ("bands", 3)):
        x = observed.arrays[name].astype(np.float32)
        expected = fit_probabilistic_pca(x, rank, 0)
        jax.tree.map(np.testing.assert_array_equal, state.params[name], expected)
    assert set(cost) == {"images_per_second", "seconds", "peak_memory_bytes"}
    assert cost["images_per_second"] * cost["seconds"] == pytest.approx(20)


def test_the_fitted_branch_makes_its_observation_likelier_than_a_changed_one(observed):
    _, state, _ = fit(make_config("bands"), observed)
    x = jnp.asarray(observed.arrays["bands"], jnp.float32)
    best = exact_log_likelihood(state.params["bands"], x).sum()
    for name in ("mean", "log_sigma"):
        decoder = state.params["bands"]["decoder"]
        changed = {"decoder": {**decoder, name: decoder[name] + 0.1}}
        assert exact_log_likelihood(changed, x).sum() < best


def test_pixels_are_fitted_in_the_unit_interval(dataset):
    config = make_config("pixels")
    model, state, _ = fit(config, dataset.train.images)
    assert model.network == "linear"
    mean = (dataset.train.images / np.float32(255)).mean(axis=0)
    np.testing.assert_allclose(state.params["decoder"]["mean"], mean, rtol=1e-5, atol=1e-6)


def test_a_random_choice_is_fitted_where_all_images_do_not_fit_into_memory(observed, monkeypatch):
    monkeypatch.setattr(closed_form, "_MAX_VALUES", 8 * 96)
    config = make_config("bands")
    _, state, _ = fit(config, observed)
    _, again, _ = fit(config, observed)
    jax.tree.map(np.testing.assert_array_equal, state.params, again.params)
    config.seed = 1
    _, other, _ = fit(config, observed)
    means = [s.params["bands"]["decoder"]["mean"] for s in (state, other)]
    assert not np.allclose(*means)
    everything = observed.arrays["bands"].astype(np.float32).mean(axis=0)
    assert not np.allclose(means[0], everything, atol=1e-3)
