import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.model.vae import build_model
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state


@pytest.fixture(scope="module")
def state():
    config = default()
    config.model.widths = (4, 4)
    return create_state(make_recipe(config, build_model(config), 10), seed=0)


def at_step(state, step):
    return state.replace(
        step=jnp.asarray(step, jnp.int32),
        params=jax.tree.map(lambda leaf: leaf + jnp.float32(step), state.params),
    )


def save(checkpoints, state, losses):
    for step, loss in losses.items():
        data = {"fingerprint": "f", "epoch": step}
        checkpoints.save(at_step(state, step), data, {"seed": 0}, loss)


def test_restored_state_equals_the_saved_one_bit_for_bit(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {3: 1.0})
    with Checkpoints(tmp_path) as checkpoints:
        restored, data = checkpoints.restore(checkpoints.latest_step(), state)
    assert data == {"fingerprint": "f", "epoch": 3}
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored, at_step(state, 3))
    assert [leaf.dtype for leaf in jax.tree.leaves(restored)] == [
        leaf.dtype for leaf in jax.tree.leaves(state)
    ]


def test_only_the_latest_and_the_best_checkpoint_are_kept(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {0: None, 1: 5.0, 2: -7.0, 3: 6.0, 4: None, 5: 2.0})
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 5
        assert checkpoints.best_step() == 2
        params, _ = checkpoints.restore_params(2)
    jax.tree.map(np.testing.assert_array_equal, params, at_step(state, 2).params)
    assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"2", "5"}


def test_a_run_without_validation_has_no_best_checkpoint(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {0: None})
        assert checkpoints.best_step() is None


def test_a_saved_state_survives_donation(tmp_path, state):
    """A checkpoint is saved in the background while training reuses the memory of the state."""
    overwrite = jax.jit(lambda s: jax.tree.map(lambda leaf: leaf * 0, s), donate_argnums=0)
    donated = jax.tree.map(jnp.copy, at_step(state, 1))
    expected = jax.device_get(donated.params)
    expected = jax.tree.map(np.array, expected)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(donated, {}, {}, None)
        overwrite(donated)
    with Checkpoints(tmp_path) as checkpoints:
        jax.tree.map(np.testing.assert_array_equal, checkpoints.restore_params(1)[0], expected)


@pytest.mark.parametrize(
    "pattern", ["state/**/*", "state/manifest.ocdbt", "data/metadata", "state/d/*"]
)
def test_a_deleted_file_is_reported_in_one_line(tmp_path, state, pattern):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {1: 1.0})
    deleted = [path for path in (tmp_path / "1").glob(pattern) if path.is_file()]
    assert deleted
    for path in deleted:
        path.unlink()
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(UserError) as error:
        checkpoints.restore(1, state)
    assert "is damaged, or of another version" in str(error.value)
    assert "\n" not in str(error.value)
