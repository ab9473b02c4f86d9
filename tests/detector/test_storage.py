import dataclasses
import json
import pickle
import shutil

import jax
import numpy as np
import pytest

from vae_jax.detector.storage import read_detector, write_detector
from vae_jax.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the workdir, which a test may damage."""
    return shutil.copytree(run, tmp_path / "copy")


def test_a_detector_that_is_read_is_the_one_that_was_written(parts, tmp_path):
    write_detector(tmp_path, parts)
    again = read_detector(tmp_path)
    assert again.config.to_json() == parts.config.to_json()
    assert again.names == parts.names
    assert again.preprocessing.framing == parts.preprocessing.framing
    for field in ("params", "fitted", "calibration", "standardisers", "baselines"):
        ours, theirs = (
            jax.tree.leaves(vars(value) if field == "fitted" else value)
            for value in (getattr(again, field), getattr(parts, field))
        )
        assert len(ours) == len(theirs)
        for first, second in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(first, second)


def test_a_detector_of_black_and_white_images_makes_new_images_black_and_white(parts, tmp_path):
    binary = dataclasses.replace(parts.preprocessing, is_binary=True)
    folder = write_detector(tmp_path, dataclasses.replace(parts, preprocessing=binary))
    assert read_detector(tmp_path).preprocessing.is_binary
    path = folder / "detector.json"
    description = json.loads(path.read_text())
    del description["is_binary"]  # as earlier versions wrote it
    path.write_text(json.dumps(description))
    assert not read_detector(tmp_path).preprocessing.is_binary


def test_a_detector_holds_no_code_and_no_image_of_a_file(run):
    folder = run / "detector"
    assert {path.name for path in folder.iterdir()} == {
        "VAE_JAX_OUTPUT.txt", "arrays.npz", "detector.json",
    }  # fmt: skip
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)
        assert not any("image" in name for name in arrays.files)


def test_a_workdir_without_a_detector_says_how_to_get_one(copy):
    shutil.rmtree(copy / "detector")
    with pytest.raises(
        UserError, match=r"older version evaluated it; write one with --mode=evaluate"
    ):
        read_detector(copy)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(UserError, match="is neither a workdir nor a detector"):
        read_detector(tmp_path)
    with pytest.raises(UserError, match="is neither a workdir nor a detector"):
        read_detector(tmp_path / "missing")


def test_any_flipped_bit_in_the_arrays_is_noticed(copy):
    path = copy / "detector" / "arrays.npz"
    whole = path.read_bytes()
    for position in np.random.default_rng(0).integers(len(whole), size=20):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"is damaged .*write it again with --mode=evaluate"):
            read_detector(copy)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        '{"format": 1}',
        '{"format": 1, "config": 3}',
        "[" * 10_000,
        "\xff",
    ],
)
def test_a_damaged_description_is_one_clear_line(copy, text):
    (copy / "detector" / "detector.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="is damaged") as raised:
        read_detector(copy)
    assert "\n" not in str(raised.value)


def test_a_description_of_another_format_is_refused(copy):
    path = copy / "detector" / "detector.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps(description | {"format": 99, "version": "9.9"}))
    with pytest.raises(UserError, match=r"holds a detector of version 9\.9 of vae_jax"):
        read_detector(copy)


def test_a_pickle_among_the_arrays_is_not_loaded(copy, tmp_path):
    class Trap:
        def __reduce__(self):
            return (pathlib_touch, (str(tmp_path / "executed"),))

    import hashlib
    import io

    stream = io.BytesIO()
    np.savez(stream, **{"params/trap": np.array([Trap()], dtype=object)})
    folder = copy / "detector"
    (folder / "arrays.npz").write_bytes(stream.getvalue())
    description = json.loads((folder / "detector.json").read_text())
    description["arrays_sha256"] = hashlib.sha256(stream.getvalue()).hexdigest()
    (folder / "detector.json").write_text(json.dumps(description))
    assert b"pathlib_touch" in pickle.dumps(Trap())
    with pytest.raises(UserError, match="is damaged"):
        read_detector(copy)
    assert not (tmp_path / "executed").exists()


def pathlib_touch(path):
    open(path, "w").close()
