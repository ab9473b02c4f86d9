import numpy as np
import pytest
from PIL import Image

from vae_jax.data import pipeline
from vae_jax.data.prepared_sources import read_fingerprint


def use_digits(data_config):
    data_config.image_size, data_config.channels = 8, 1


def use_region(data_config, tmp_path):
    use_digits(data_config)
    region = np.zeros((8, 8), np.uint8)
    region[2:6] = 255
    Image.fromarray(region).save(tmp_path / "roi.png")
    data_config.roi = str(tmp_path / "roi.png")


@pytest.mark.parametrize("kind", ["one dataset", "region", "two datasets"])
def test_the_fingerprint_is_that_of_the_loaded_dataset(
    data_config, tmp_path, make_idx, make_kvasir, kind
):
    use_digits(data_config)
    if kind == "region":
        use_region(data_config, tmp_path)
    if kind == "two datasets":
        data_config.normal_classes = data_config.anomaly_classes = ()
        data_config.anomaly_dataset = "mnist"
        data_config.anomaly_manual_dir = str(make_idx()[0])
    fingerprint = read_fingerprint(data_config)
    assert fingerprint == pipeline.load_dataset(data_config, seed=0).fingerprint


def test_the_fingerprint_changes_with_the_images(data_config, make_kvasir):
    data_config.dataset, data_config.channels, data_config.image_size = "kvasir", 3, 16
    root = make_kvasir({"polyps": 3, "normal-cecum": 3})
    data_config.manual_dir = str(root)
    first = read_fingerprint(data_config)
    assert read_fingerprint(data_config) == first
    Image.new("RGB", (24, 20), 9).save(root / "polyps/001.jpg")
    assert read_fingerprint(data_config) != first
