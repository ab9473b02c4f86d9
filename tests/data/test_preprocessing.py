import dataclasses

import numpy as np
import pytest
from PIL import Image

from vae_jax.config import default
from vae_jax.data.pipeline import load_dataset
from vae_jax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Folder of 24 good and 4 bad images, 12 bits in 16, none of them square."""
    rng = np.random.default_rng(0)
    for class_name, count in (("good", 24), ("bad", 4)):
        (tmp_path / "images" / class_name).mkdir(parents=True)
        for i in range(count):
            values = rng.integers(100, 3000, (18, 24)).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / "images" / class_name / f"{i}.png")
    return tmp_path / "images"


def make_data_config(folder, **fields):
    data = default().data
    data.update(dataset="folder", manual_dir=str(folder), dir=str(folder.parent / "prepared"))
    data.update(image_size=12, anomaly_classes=(), val_fraction=0.2, calibration_fraction=0.2)
    data.update(fields)
    return data


@pytest.mark.parametrize(
    "fields",
    [
        {"intensity": "window:0,4095"},
        {"intensity": "percentile:5,95", "framing": "pad"},
        {"intensity": "window:0,4095", "framing": "stretch", "roi": "ellipse", "channels": 3},
        {"intensity": "window:0,4095", "crop": 0.7},
    ],
)
def test_a_stored_file_becomes_the_image_that_the_dataset_holds(folder, fields):
    dataset = load_dataset(make_data_config(folder, **fields), seed=0)
    test = dataset.test
    assert len(test) > 4
    for row, file in enumerate(test.files):
        crops = dataset.preprocessing.apply((folder / file).read_bytes(), file)
        np.testing.assert_array_equal(crops.images, test.images[row : row + 1])


def test_grey_levels_follow_the_material_in_the_name_of_the_file(folder):
    dataset = load_dataset(make_data_config(folder, intensity="window:0,4095"), seed=0)
    inverted = np.arange(255, -1, -1, dtype=np.uint8)
    fabrics = dataclasses.replace(
        dataset.preprocessing, dataset="aitex", material_levels={"04": inverted}
    )
    encoded = (folder / "good/0.png").read_bytes()
    plain = dataset.preprocessing.apply(encoded, "x").images
    np.testing.assert_array_equal(fabrics.apply(encoded, "0001_002_04.png").images, 255 - plain)
    with pytest.raises(UserError, match="tells the material 07, but the model was trained on 04"):
        fabrics.apply(encoded, "0001_002_07.png")
