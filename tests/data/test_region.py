import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vae_jax.config import default
from vae_jax.data.region import Region, load_region
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


MASK = np.zeros((4, 4), bool)
MASK[1:3, 1:4] = True


def test_selected_values_are_those_inside_in_reading_order():
    values = jnp.arange(32.0).reshape(2, 4, 4, 1)
    selected = Region(MASK).select(values)
    np.testing.assert_array_equal(selected[0, 0, :, 0], [5, 6, 7, 9, 10, 11])
    assert selected.shape == (2, 1, 6, 1)


def test_a_smaller_grid_belongs_to_the_middle_of_the_image():
    values = jnp.arange(4.0).reshape(1, 2, 2, 1)  # rows 1 to 2, columns 1 to 2 of the image
    np.testing.assert_array_equal(Region(MASK).select(values)[0, 0, :, 0], [0, 1, 2, 3])


def test_zeroed_images_are_black_outside_and_unchanged_inside():
    images = np.asarray(Region(MASK).zero_outside(jnp.ones((2, 4, 4, 3))))
    assert np.all(images[:, MASK] == 1)
    assert np.all(images[:, ~MASK] == 0)
