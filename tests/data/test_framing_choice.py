import logging

import numpy as np
import pytest
from PIL import Image

from vae_jax.data import framing_choice, pipeline
from vae_jax.data.tiling import compute_boxes


@pytest.fixture
def load(tmp_path, data_config):
    """Returns a function: sizes of normal and abnormal images -> the dataset with framing=auto."""

    def load(good, dent=((300, 8),), **fields):
        root = tmp_path / "own"
        rng = np.random.default_rng(0)
        for kind, sizes in (("good", good), ("dent", dent)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            for i, (width, height) in enumerate(sizes):
                pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
                Image.fromarray(pixels).save(root / kind / f"{i}.png")
        data_config.dataset, data_config.manual_dir = "folder", str(root)
        data_config.normal_classes, data_config.anomaly_classes = (), ()
        data_config.image_size, data_config.channels = 8, 3
        data_config.framing = "auto"
        data_config.update(fields)
        return pipeline.load_dataset(data_config, seed=0)

    return load


@pytest.mark.parametrize(
    ("size", "framing"),
    [
        ((12, 12), "stretch"),
        ((15, 12), "stretch"),
        ((16, 12), "tiles"),
        ((12, 16), "tiles"),
        ((32, 32), "stretch"),
        ((33, 33), "tiles"),
    ],
)
def test_tiles_are_chosen_where_normal_images_are_not_square_or_much_larger(
    load, caplog, size, framing
):
    with caplog.at_level(logging.INFO):
        dataset = load([size] * 20)
    assert dataset.preprocessing.framing.framing == framing
    assert (dataset.train.boxes is not None) == (framing == "tiles")
    other = {"tiles": "stretch", "stretch": "tiles"}[framing]
    [line] = [text for text in caplog.messages if "data.framing=auto" in text]
    assert f"--config.data.framing={other}" in line


def test_the_log_names_the_size_and_the_mean_number_of_tiles(load, caplog):
    with caplog.at_level(logging.INFO):
        load([(40, 20)] * 20, tile_size=16)
    mean = len(compute_boxes(40, 20, 16))
    assert f"chose tiles of 16 pixels, on average {mean:.1f} for each image" in caplog.text
    assert "the longer side of the median image is 2 times its shorter side" in caplog.text


def test_a_stride_is_that_of_tiles_if_these_are_chosen(load):
    tiled = load([(40, 20)] * 20, tile_stride=5)
    assert tiled.preprocessing.framing.tile_stride == 5
    square = load([(12, 12)] * 20, tile_stride=5)
    assert square.preprocessing.framing.framing == "stretch"


def test_abnormal_images_have_no_influence(load):
    dataset = load([(12, 12)] * 20, dent=[(90, 8)] * 40)
    assert dataset.preprocessing.framing.framing == "stretch"


def test_a_later_start_chooses_the_same_without_reading_records(load, data_config, monkeypatch):
    first = load([(20, 12)] * 20)

    def refuse(*args):
        raise AssertionError("the records were read again")

    monkeypatch.setattr(framing_choice.tfds.decode, "SkipDecoding", refuse)
    second = pipeline.load_dataset(data_config, seed=0)
    assert second.preprocessing.framing == first.preprocessing.framing
    np.testing.assert_array_equal(second.train.boxes, first.train.boxes)


def test_a_region_of_interest_belongs_to_stretched_images(load, caplog):
    with caplog.at_level(logging.INFO):
        dataset = load([(20, 12)] * 20, roi="ellipse")
    assert dataset.preprocessing.framing.framing == "stretch"
    assert "data.roi names a region of whole images" in caplog.text
