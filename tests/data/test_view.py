"""What of the stored images is in view, from stored sizes and from masks."""

import logging

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vae_jax.data import pipeline
from vae_jax.data.dataset_section import describe_dataset
from vae_jax.data.framing import Framing
from vae_jax.data.view import measure_view_shares, summarise_view

SIZES = np.array([[40, 40, 1], [40, 80, 1], [100, 20, 1]], np.int32)


@pytest.mark.parametrize(
    ("fields", "shares"),
    [
        ({}, [1, 0.5, 0.2]),
        ({"crop": 0.5}, [0.25, 0.125, 0.05]),
        ({"framing": "stretch"}, [1, 1, 1]),
        ({"framing": "pad", "crop": 0.5}, [0.25, 0.25, 0.25]),
        ({"tile_stride": 10}, [1, 1, 1]),
        ({"framing": "tiles", "crop": 0.5}, [0.25, 0.25, 0.25]),
    ],
)
def test_the_share_in_view_is_that_of_the_pixels_that_are_cut_out(fields, shares):
    np.testing.assert_allclose(measure_view_shares(SIZES, Framing(16, 1, **fields)), shares)


@pytest.fixture
def folder_config(tmp_path, data_config):
    """Returns the config of a folder of 60x20 images; of four defects, two are outside the centre."""
    rng = np.random.default_rng(0)
    for name in [*(f"good/{i:02}" for i in range(20)), *(f"bad/{i}" for i in range(5))]:
        path = tmp_path / f"images/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 60), np.uint8)).save(path)
    for i, left in enumerate((0, 28, 55, 35)):  # the fifth anomaly has no mask
        mask = np.zeros((20, 60), np.uint8)
        mask[8:12, left : left + 5] = 255
        path = tmp_path / f"images/ground_truth/bad/{i}_mask.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    data_config.dataset, data_config.manual_dir = "folder", str(tmp_path / "images")
    data_config.normal_classes, data_config.anomaly_classes = ("good",), ()
    data_config.image_size = 16
    return data_config


def test_anomalies_without_a_marked_pixel_in_view_are_counted_from_prepared_data(folder_config):
    for _ in range(2):  # the second time from decoded images
        dataset = pipeline.load_dataset(folder_config, 0)
        out_of_view = dict(zip(dataset.test.files, dataset.test.out_of_view, strict=True))
        assert [name for name, lost in out_of_view.items() if lost] == ["bad/0.png", "bad/2.png"]
        assert describe_dataset(dataset)["view"] == {
            "mean_share": pytest.approx(1 / 3),
            "partial_images": len(dataset.test),
            "masked_anomalies": 4,
            "anomalies_out_of_view": 2,
        }
        assert describe_dataset(dataset)["mask_regions"] == {"marked": 2, "enlarged": 0}


@pytest.mark.parametrize("framing", ["stretch", "pad"])
def test_thin_regions_are_kept_and_counted_from_prepared_data(folder_config, tmp_path, framing):
    mask = np.zeros((20, 60), np.uint8)
    mask[8:12, 1], mask[3:6, 40:55] = 255, 255
    Image.fromarray(mask).save(tmp_path / "images/ground_truth/bad/0_mask.png")
    folder_config.framing, folder_config.image_size = framing, 10
    for _ in range(2):  # the second time from decoded images
        dataset = pipeline.load_dataset(folder_config, 0)
        regions = dict(zip(dataset.test.files, dataset.test.mask_regions.tolist(), strict=True))
        assert regions["bad/0.png"] == [2, 1]
        assert describe_dataset(dataset)["mask_regions"]["enlarged"] >= 1
        labels = dataset.test.masks[dataset.test.files.index("bad/0.png")]
        assert ndimage.label(labels, np.ones((3, 3)))[1] == 2


@pytest.mark.parametrize("framing", ["stretch", "tiles"])
def test_an_image_that_is_seen_whole_has_nothing_out_of_view(folder_config, framing):
    folder_config.framing = framing
    dataset = pipeline.load_dataset(folder_config, 0)
    assert not dataset.test.out_of_view.any()
    assert "view" not in describe_dataset(dataset)


def test_what_a_region_hides_is_out_of_view(folder_config, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    region = np.zeros((16, 16), np.uint8)
    region[:, :8] = 255
    Image.fromarray(region).save(tmp_path / "roi.png")
    folder_config.roi = str(tmp_path / "roi.png")
    view = summarise_view(pipeline.load_dataset(folder_config, 0).test)
    assert view.num_out_of_view == 3  # the defect at columns 35 to 39 is right of the centre
