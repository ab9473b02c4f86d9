import numpy as np
import pytest
from PIL import Image

from vae_jax.config import default
from vae_jax.data.region import load_region
from vae_jax.errors import UserError


@pytest.fixture
def data():
    data = default().data
    data.image_size = 8
    return data


def save(path, mask):
    Image.fromarray(np.uint8(mask) * 255).save(path)
    return str(path)


def test_nothing_named_is_the_whole_image(data):
    assert load_region(data) is None


def test_ellipse_touches_the_sides_and_leaves_the_corners(data):
    data.roi = "ellipse"
    mask = load_region(data).mask
    assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert mask[0].any()
    assert mask[:, 0].any()
    np.testing.assert_array_equal(mask, mask[::-1])
    np.testing.assert_array_equal(mask, mask.T)


@pytest.mark.parametrize("scale", [1, 4])
def test_png_of_any_size_is_white_where_pixels_count(data, tmp_path, scale):
    mask = np.zeros((8, 8), bool)
    mask[2:5, 1:7] = True
    data.roi = save(tmp_path / "mask.png", np.kron(mask, np.ones((scale, scale))))
    np.testing.assert_array_equal(load_region(data).mask, mask)


def test_dataset_takes_the_file_beside_its_images(data, tmp_path):
    save(tmp_path / "roi.png", np.eye(8))
    data.roi, data.manual_dir = "dataset", str(tmp_path)
    np.testing.assert_array_equal(load_region(data).mask, np.eye(8, dtype=bool))


def test_what_cannot_be_a_region_is_refused_in_one_line(data, tmp_path):
    data.roi = str(tmp_path / "absent.png")
    with pytest.raises(UserError, match=r"there is no file .*absent.png"):
        load_region(data)
    (tmp_path / "text.png").write_text("no image")
    data.roi = str(tmp_path / "text.png")
    with pytest.raises(UserError, match="cannot be read as an image"):
        load_region(data)
    data.roi = save(tmp_path / "black.png", np.zeros((8, 8)))
    with pytest.raises(UserError, match="is black everywhere"):
        load_region(data)
