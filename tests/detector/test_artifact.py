import json
import zipfile

import jax
import numpy as np
import pytest

from vae_jax.detector.artifact import PROGRAMS, is_artifact, read_artifact, write_artifact
from vae_jax.errors import UserError

pytestmark = pytest.mark.slow

DESCRIPTION = {"step": 16, "arrays": [], "combination_inputs": []}


@pytest.fixture
def artifact(parts, tmp_path):
    path = tmp_path / "screws.zip"
    write_artifact(path, parts, DESCRIPTION, {"score": b"program"})
    return path


def rewrite(path, change, compression=zipfile.ZIP_STORED):
    """Writes the zip again, with files that a function of them returns."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in change(files).items():
            archive.writestr(name, content)


def test_what_is_read_is_what_was_written(artifact, parts):
    read = read_artifact(artifact)
    assert read.programs == {"score": b"program"}
    assert DESCRIPTION.items() <= read.description.items()
    assert read.parts.names == parts.names
    for ours, theirs in zip(
        jax.tree.leaves(read.parts.params), jax.tree.leaves(parts.params), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_equal_detectors_give_equal_bytes(artifact, parts, tmp_path):
    again = tmp_path / "again.zip"
    write_artifact(again, parts, DESCRIPTION, {"score": b"program"})
    assert again.read_bytes() == artifact.read_bytes()


@pytest.mark.parametrize("name", ["score.stablehlo", "arrays.npz", "detector.json", PROGRAMS])
def test_damage_of_any_file_is_noticed(artifact, name):
    rewrite(artifact, lambda files: files | {name: files[name][:-2] + b"x\n"})
    with pytest.raises(UserError, match=r"screws\.zip is damaged \(|detector in .* is damaged \("):
        read_artifact(artifact)


@pytest.mark.parametrize("name", ["score.stablehlo", "arrays.npz", "detector.json"])
def test_a_missing_file_is_noticed(artifact, name):
    rewrite(artifact, lambda files: {key: files[key] for key in files if key != name})
    with pytest.raises(UserError, match=r"screws\.zip is damaged"):
        read_artifact(artifact)


def test_a_file_that_is_cut_off_is_refused(artifact):
    artifact.write_bytes(artifact.read_bytes()[:-100])
    with pytest.raises(UserError, match="not an exported detector"):
        read_artifact(artifact)


def test_another_zip_file_is_refused(artifact):
    rewrite(artifact, lambda files: {"readme.txt": b"hello"})
    assert not is_artifact(artifact)
    with pytest.raises(UserError, match=r"is a zip file, but not an exported detector"):
        read_artifact(artifact)


def test_a_compressed_zip_file_is_refused_before_it_is_read(artifact):
    """A small compressed file could need any amount of memory."""
    rewrite(artifact, lambda files: files, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="is compressed"):
        read_artifact(artifact)


def test_an_artifact_of_another_version_is_refused(artifact):
    def change(files):
        return files | {PROGRAMS: json.dumps(json.loads(files[PROGRAMS]) | {"format": 0}).encode()}

    rewrite(artifact, change)
    with pytest.raises(UserError, match="was exported by another version"):
        read_artifact(artifact)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.zip does not exist"):
        read_artifact(tmp_path / "nothing.zip")
    assert not is_artifact(tmp_path)
