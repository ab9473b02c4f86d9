import errno
import os
import shutil
import subprocess
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.model.vae import build_model
from vae_jax.training import checkpoint_files
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.checkpoint_files import find_damage
from vae_jax.training.recipe import make_recipe
from vae_jax.training.state import create_state


@pytest.fixture(scope="module")
def state():
    config = default()
    config.model.widths = (4, 4)
    return create_state(make_recipe(config, build_model(config), 10), seed=0)


@pytest.fixture
def config():
    return default()


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


def test_only_the_two_latest_and_the_best_checkpoint_are_kept(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {0: None, 1: 5.0, 2: -7.0, 3: 6.0, 4: None, 5: 2.0})
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 5
        assert checkpoints.best_step() == 2
        params, _ = checkpoints.restore_params(2)
    jax.tree.map(np.testing.assert_array_equal, params, at_step(state, 2).params)
    assert {path.name for path in tmp_path.iterdir() if path.name.isdigit()} == {"2", "4", "5"}


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
@pytest.mark.parametrize("with_digests", [True, False])
def test_a_deleted_file_is_reported_in_one_line(tmp_path, state, pattern, with_digests):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {1: 1.0})
    if not with_digests:  # as an earlier version of this program leaves it
        (tmp_path / "1/digests.json").unlink()
    deleted = [path for path in (tmp_path / "1").glob(pattern) if path.is_file()]
    assert deleted
    for path in deleted:
        path.unlink()
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(UserError) as error:
        checkpoints.restore(1, state)
    assert "is damaged, or of another version" in str(error.value)
    assert "\n" not in str(error.value)


def flip_bit(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << rng.integers(8)
    path.write_bytes(content)


def test_one_flipped_bit_anywhere_in_a_checkpoint_is_refused(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {1: 1.0})
    files = [
        path
        for item in ("state", "data", "config", "metrics")
        for path in (tmp_path / "1" / item).rglob("*")
        if path.is_file() and path.name != "commit_success.txt"
    ]
    rng = np.random.default_rng(0)
    sizes = np.array([path.stat().st_size for path in files])
    drawn = rng.choice(len(files), 40, p=sizes / sizes.sum())
    for path in [*files, *(files[i] for i in drawn)]:
        content = path.read_bytes()
        flip_bit(path, rng)
        damage = find_damage(tmp_path / "1")
        assert damage == f"{path.relative_to(tmp_path / '1')} has changed since it was written"
        path.write_bytes(content)
    assert find_damage(tmp_path / "1") is None
    flip_bit(path, rng)
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        for restore in (
            lambda: checkpoints.restore(1, state),
            lambda: checkpoints.restore_params(1),
        ):
            with pytest.raises(UserError, match="has changed since it was written"):
                restore()


def test_training_continues_from_the_newest_whole_checkpoint(tmp_path, state, config, caplog):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {1: 9.0, 2: 1.0, 3: 5.0, 4: 6.0})
    flip_bit(tmp_path / "4/state/_METADATA", np.random.default_rng(0))
    with Checkpoints(tmp_path) as checkpoints:
        restored, data = checkpoints.restore_newest(state, config)
        assert data["epoch"] == 3
        jax.tree.map(np.testing.assert_array_equal, restored, at_step(state, 3))
        save(checkpoints, state, {4: 6.0})
    assert "checkpoint" in caplog.text
    assert "4 is damaged (state/_METADATA has changed" in caplog.text
    assert (tmp_path / "damaged-4").is_dir()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 4
        assert checkpoints.best_step() == 2
        restored, _ = checkpoints.restore_newest(state, config)
    jax.tree.map(np.testing.assert_array_equal, restored, at_step(state, 4))


@pytest.mark.parametrize("name", ["metrics/metrics", "data/metadata", "config/metadata"])
def test_a_truncated_json_file_is_damage_too(tmp_path, state, config, name, caplog):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {3: 5.0, 4: 1.0})
    path = tmp_path / "4" / name
    path.write_bytes(path.read_bytes()[:-5])
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.best_step() == 4
        with pytest.raises(UserError, match=f"{name} has changed since it was written"):
            checkpoints.restore_params(4)
    with Checkpoints(tmp_path) as checkpoints:
        assert int(checkpoints.restore_newest(state, config)[0].step) == 3


def test_no_whole_checkpoint_is_one_line(tmp_path, state, config):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {3: 5.0, 4: 1.0})
    for step in (3, 4):
        flip_bit(tmp_path / str(step) / "state/manifest.ocdbt", np.random.default_rng(0))
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(UserError, match="is whole") as error:
        checkpoints.restore_newest(state, config)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("damaged*"))


def test_a_half_deleted_old_checkpoint_is_no_damage(tmp_path, state, config, caplog):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {2: 9.0, 3: 5.0, 4: 1.0})
    shutil.copytree(tmp_path / "3", tmp_path / "1")
    (tmp_path / "1/metrics/metrics").unlink()
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.best_step() == 4
    with Checkpoints(tmp_path) as checkpoints:
        assert int(checkpoints.restore_newest(state, config)[0].step) == 4
    assert not list(tmp_path.glob("*1"))
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("losses", [{3: 1.0, 4: 5.0}, {3: 5.0, 4: 1.0}])
def test_no_other_checkpoint_takes_the_place_of_a_best_one_that_is_gone(
    tmp_path, state, config, losses, caplog
):
    best = min(losses, key=losses.get)
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, losses)
    shutil.rmtree(tmp_path / str(best))
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.best_step() == best
        with pytest.raises(UserError, match="it is missing"):
            checkpoints.restore_params(best)
    with Checkpoints(tmp_path) as checkpoints:  # training may go on
        checkpoints.restore_newest(state, config)
        save(checkpoints, state, {6: 7.0})
        assert ("best checkpoint" in caplog.text) == (best == 3)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best_step() == 7 - best


@pytest.mark.parametrize("record", [None, "older"])
def test_the_best_checkpoint_is_found_where_its_record_is_older_or_missing(tmp_path, state, record):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {3: 5.0})
    old = (tmp_path / "best.json").read_bytes()
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {4: 1.0, 6: 5.0})
    (tmp_path / "best.json").unlink()
    if record:
        (tmp_path / "best.json").write_bytes(old)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best_step() == 4


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff"])
def test_a_damaged_record_of_the_best_is_one_line(tmp_path, state, content):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {3: 5.0})
    (tmp_path / "best.json").write_bytes(content)
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(UserError, match="is damaged") as error,
    ):
        checkpoints.best_step()
    assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_config_is_refused(tmp_path, state, config):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(at_step(state, 3), {}, config.to_dict(), 1.0)
    config.scoring.knn_k = 9  # only a change of the model or of its training is another run
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.restore_newest(state, config)
        config.model.sigma = 0.123
        with pytest.raises(UserError, match=r"model\.sigma is"):
            checkpoints.restore_newest(state, config)
        with pytest.raises(UserError, match=r"model\.sigma is"):
            checkpoints.restore_params(3, lambda: config)


def test_the_initial_state_of_another_config_is_replaced(tmp_path, state, config):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {}, config.to_dict(), None)
    config.seed = 1
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore_newest(state, config) is None
        checkpoints.save(state, {"epoch": 0}, config.to_dict(), None)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore_newest(state, config)[1] == {"epoch": 0}


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 400 KiB of its own; the test is skipped where it cannot be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only a superuser of Linux can mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill_disk(folder, num_free):
    usage = shutil.disk_usage(folder)
    (folder / "filler").write_bytes(bytes(usage.free - num_free))


@pytest.mark.parametrize("kib_free", [0, 8, 24, 40, 56])
def test_a_full_disk_is_one_line_and_keeps_the_last_checkpoint(small_disk, state, config, kib_free):
    folder = small_disk / "checkpoints"
    with Checkpoints(folder) as checkpoints:
        save(checkpoints, state, {3: 5.0})
    fill_disk(small_disk, kib_free * 1024)
    with pytest.raises(UserError) as error, Checkpoints(folder) as checkpoints:
        save(checkpoints, state, {4: 1.0})
    assert "a checkpoint cannot be saved in" in str(error.value)
    assert "no space left on device" in str(error.value).lower()
    assert "\n" not in str(error.value)
    (small_disk / "filler").unlink()
    with Checkpoints(folder) as checkpoints:
        restored, _ = checkpoints.restore_newest(state, config)
        jax.tree.map(np.testing.assert_array_equal, restored, at_step(state, 3))
        save(checkpoints, state, {4: 1.0})
    with Checkpoints(folder) as checkpoints:
        restored, _ = checkpoints.restore_newest(state, config)
    jax.tree.map(np.testing.assert_array_equal, restored, at_step(state, 4))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_write_that_fails_in_the_background_is_one_line(
    tmp_path, state, config, monkeypatch, code
):
    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {3: 5.0})

    def fail(folder):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(checkpoint_files, "_write_digests", fail)
    with pytest.raises(UserError) as error, Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {4: 1.0})
    assert f"a checkpoint cannot be saved in {tmp_path}" in str(error.value)
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    with Checkpoints(tmp_path) as checkpoints:
        assert int(checkpoints.restore_newest(state, config)[0].step) == 3


def test_a_folder_that_cannot_be_written_is_one_line_at_once(tmp_path, state, monkeypatch):
    """Orbax would leave threads that keep the process waiting for ten minutes."""

    def fail(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with Checkpoints(tmp_path) as checkpoints:
        save(checkpoints, state, {3: 5.0})
        checkpoints._manager.wait_until_finished()
        threads_before = set(threading.enumerate())
        with monkeypatch.context() as patch:
            patch.setattr(type(tmp_path), "mkdir", fail)
            with pytest.raises(UserError, match=r"\(read-only file system\)"):
                save(checkpoints, state, {4: 5.0})
        # Other threads may end meanwhile, of Orbax and of earlier tests: only new ones count.
        assert set(threading.enumerate()) <= threads_before
