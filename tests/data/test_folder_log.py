"""What the log says about how images were read."""

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import pipeline
from vae_jax.errors import UserError


@pytest.fixture
def load(data_config, tmp_path, caplog):
    """Returns a function: how to write an image, fields -> the dataset and what has been logged."""
    caplog.set_level("INFO", logger="vae_jax")

    def load_folder(write, count=12, **fields):
        for class_name in ("good", "bad"):
            (tmp_path / "own" / class_name).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                seed = i + 100 * (class_name == "bad")
                write(tmp_path / "own" / class_name / f"{i:02}", seed)
        data_config.dataset, data_config.manual_dir = "folder", str(tmp_path / "own")
        data_config.anomaly_classes, data_config.image_size = (), 8
        data_config.update(fields)
        caplog.clear()
        return pipeline.load_dataset(data_config, seed=0), caplog.text

    return load_folder


def write_alpha(alpha):
    def write(path, seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 4), np.uint8)
        pixels[..., 3] = np.resize(alpha, (8, 8))
        Image.fromarray(pixels, "RGBA").save(f"{path}.png")

    return write


def test_transparency_is_said_with_its_background(load):
    dataset, log = load(write_alpha([128]), channels=3)
    assert "24 of 24 images have transparent pixels, which are black (data.background)" in log
    assert "shape" not in log
    white, log = load(write_alpha([128]), channels=3, background="white")
    assert "which are white (data.background)" in log
    assert (white.train.images > dataset.train.images).all()
    _, log = load(write_alpha([255]))
    assert "transparent" not in log


def test_a_mask_in_the_alpha_channel_is_said_at_every_start(load):
    for _ in range(2):
        _, log = load(write_alpha([0, 255]))
        (line,) = (line for line in log.splitlines() if "shape" in line)
        assert "24 images" in line
        assert "for example in bad/00.png" in line
        assert "treated as transparency on black, not as a mask" in line


def write_ppm(highest):
    def write(path, seed):
        values = np.random.default_rng(seed).integers(0, highest, (8, 8, 3))
        path.with_suffix(".ppm").write_bytes(b"P6 8 8 65535\n" + values.astype(">u2").tobytes())

    return write


def test_deep_colours_are_said_to_lose_their_lower_bits(load):
    dataset, log = load(write_ppm(65_536), channels=3)
    assert "24 images have 16 bits per channel, of which the upper 8 are read" in log
    assert np.ptp(dataset.train.images) > 200


def test_deep_colours_of_12_bits_are_refused_and_not_black(load):
    with pytest.raises(UserError, match="store colours with 8 bits per channel"):
        load(write_ppm(4096), channels=3)
