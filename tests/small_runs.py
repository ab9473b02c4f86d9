"""Small runs on a folder of discs and rings, which several test modules share."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.conftest import make_examples
from vae_jax import main as main_module
from vae_jax import train as train_lib
from vae_jax.config import default
from vae_jax.detector.storage import read_detector
from vae_jax.workdir_claim import claim_workdir


def write_images(folder, examples):
    """Writes the images of examples as PNG files of three times their size, one folder per class."""
    for i in range(len(examples)):
        path = folder / ("bad" if examples.labels[i] else "good") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(examples.images[i, ..., 0]).resize((24, 24), 0).save(path)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory) -> pathlib.Path:
    """Folder of 90 discs that are good, and 10 rings that are bad."""
    folder = tmp_path_factory.mktemp("images") / "screws"
    write_images(folder, make_examples("all", 100, 0, anomalies=10))
    return folder


def make_run(workdir, image_folder, decision="", model=None, scoring=None, **data):
    """Trains and evaluates a small model, of pixels if `model` does not say otherwise, on the folder."""
    config = default()
    config.name = "screws"
    config.data.update(dataset="folder", manual_dir=str(image_folder), dir=f"{workdir}_data")
    config.data.update(image_size=8, anomaly_classes=(), calibration_fraction=0.3)
    config.data.update(data)
    config.model.widths, config.model.latent_dim = (4,), 2
    config.train.epochs, config.train.batch_size = 3, 16
    config.scoring.update(names=("mse", "elbo", "knn", "fusion"), fusion=("mse", "knn"))
    config.scoring.update(bootstrap_resamples=100, decision=decision)
    config.model.update(model or {})
    config.scoring.update(scoring or {})
    config.report.cases, config.report.samples = 2, 4
    claim_workdir(workdir, config)
    train_lib.run(config, workdir)
    return workdir


@pytest.fixture(scope="session")
def run(tmp_path_factory, image_folder) -> pathlib.Path:
    """Workdir of a run on the folder."""
    return make_run(tmp_path_factory.mktemp("run") / "screws", image_folder)


@pytest.fixture(scope="session")
def tiled_run(tmp_path_factory, image_folder) -> pathlib.Path:
    """Workdir of a run on tiles that cover the images."""
    workdir = tmp_path_factory.mktemp("tiled_run") / "screws"
    return make_run(workdir, image_folder, framing="tiles", tile_size=16)


@pytest.fixture(scope="session")
def parts(run):
    """The detector of the run, as plain data."""
    return read_detector(run)


@pytest.fixture
def same_compiler(monkeypatch):
    """Keeps the options of the compiler of this process, which a start of the program would set."""
    for name in ("keep_memory", "choose_xla_options"):
        monkeypatch.setattr(main_module, name, lambda *_: None)


def read_scores(workdir) -> dict[str, dict[str, str]]:
    """Returns the rows of scores.csv: file -> column -> text."""
    import csv

    with (workdir / "scores.csv").open(newline="", encoding="utf-8") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


def assert_scores_agree(scores, expected, names, spread):
    """Compares scores, in units of their spread over calibration normals."""
    for name in names:
        difference = np.abs(np.asarray(scores[name], float) - np.asarray(expected[name], float))
        assert difference.max() / spread[name].std() < 1e-4, name
