"""Folders of synthetic photographs without a fault, to which a test adds one."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from vae_jax.audit_data import audit_images
from vae_jax.config import default
from vae_jax.validate import resolve_names


def make_photograph(seed, size=(64, 64)):
    """Returns RGB pixels that vary smoothly, with noise; two of them do not agree."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(60, 200, (8, 8, 3), np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), float)
    return (smooth + rng.normal(0, 6, smooth.shape)).clip(30, 230).astype(np.uint8)


def save(path: pathlib.Path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def make_folder(tmp_path):
    """Returns a function that writes a folder: {class: number of photographs} -> folder."""

    def make(counts=None, name="photographs"):
        folder = tmp_path / name
        for number, (class_name, count) in enumerate((counts or {"good": 60, "bad": 20}).items()):
            for i in range(count):
                save(folder / class_name / f"{i:03}.png", make_photograph(1000 * number + i))
        return folder

    return make


@pytest.fixture
def audit_config(tmp_path):
    """Config of a small folder, which keeps the promised rate with 10 calibration images."""
    config = default()
    config.data.dataset = "folder"
    config.data.image_size, config.data.channels = 32, 3
    config.data.dir = str(tmp_path / "prepared")
    config.data.normal_classes, config.data.anomaly_classes = (), ()
    config.data.calibration_fraction = 0.2
    config.scoring.false_alarm_rate = 0.5
    config.scoring.bootstrap_resamples = 100
    return config


@pytest.fixture
def audit(audit_config):
    """Returns a function: a folder, and fields of the data group -> kind of a finding -> the finding.

    Afterwards its attribute `result` is the content of audit.json.
    """

    def audit(folder, **fields):
        audit_config.data.manual_dir = str(folder)
        audit_config.data.update(fields)
        resolve_names(audit_config)
        _, audit.result = audit_images(audit_config)
        return {finding["kind"]: finding for finding in audit.result["findings"]}

    return audit
