import shutil

import numpy as np
import pytest

from vae_jax import verify
from vae_jax.detector.storage import read_detector, write_detector
from vae_jax.errors import UserError
from vae_jax.workdir import read_config

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the workdir, which a test may change."""
    return shutil.copytree(run, tmp_path / "copy")


def test_a_detector_that_agrees_with_its_evaluation_is_verified(run, capsys):
    verify.run(read_config(run), run)
    out = capsys.readouterr().out
    assert "decisions that differ: 0" in out
    for name in ("mse", "elbo", "knn", "fusion"):
        assert f"  {name} " in out


def test_tiles_are_verified_as_whole_images(tiled_run, capsys):
    verify.run(read_config(tiled_run), tiled_run)
    assert "decisions that differ: 0" in capsys.readouterr().out


def test_a_score_that_differs_is_named(copy):
    parts = read_detector(copy)
    fits = parts.fitted.fits | {"knn": parts.fitted.fits["knn"] + np.float32(0.1)}
    parts.fitted.fits.update(fits)
    write_detector(copy, parts)
    with pytest.raises(UserError, match=r"disagree \(knn"):
        verify.run(read_config(copy), copy)


def test_another_checkpoint_is_noticed(copy):
    parts = read_detector(copy)
    leaf = next(iter(parts.params.values()))
    while isinstance(next(iter(leaf.values())), dict):
        leaf = next(iter(leaf.values()))
    name = next(iter(leaf))
    leaf[name] = leaf[name] + np.float32(1e-3)
    write_detector(copy, parts)
    with pytest.raises(UserError, match="was made from another checkpoint"):
        verify.run(read_config(copy), copy)


def test_rows_that_are_missing_are_noticed(copy):
    lines = (copy / "scores.csv").read_text().splitlines(keepends=True)
    (copy / "scores.csv").write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match=r"rows for .* test images"):
        verify.run(read_config(copy), copy)


def test_changed_data_cannot_be_compared(copy, image_folder, tmp_path):
    folder = shutil.copytree(image_folder, tmp_path / "images")
    shutil.copy(folder / "good" / "1.png", folder / "good" / "new.png")
    config = read_config(copy)
    config.data.manual_dir = str(folder)
    with pytest.raises(UserError, match="the data has changed since"):
        verify.run(config, copy)
