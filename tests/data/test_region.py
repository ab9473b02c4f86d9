import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from vae_jax.config import default
from vae_jax.data.region import Region, load_region
from vae_jax.errors import UserError


@pytest.fixture
def data_config():
    data_config = default().data
    data_config.image_size = 8
    return data_config


def save_mask(path, mask):
    Image.fromarray(np.uint8(mask) * 255).save(path)
    return str(path)


def test_without_a_name_there_is_no_region(data_config):
    assert load_region(data_config) is None


def test_the_ellipse_touches_every_side_and_has_no_corner(data_config):
    data_config.roi = "ellipse"
    mask = load_region(data_config).mask
    assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert mask[0].any()
    assert mask[:, 0].any()
    np.testing.assert_array_equal(mask, mask[::-1])
    np.testing.assert_array_equal(mask, mask.T)


@pytest.mark.parametrize("scale", [1, 4])
def test_a_png_of_any_size_is_scaled_to_the_image(data_config, tmp_path, scale):
    mask = np.zeros((8, 8), bool)
    mask[2:5, 1:7] = True
    data_config.roi = save_mask(tmp_path / "mask.png", np.kron(mask, np.ones((scale, scale))))
    np.testing.assert_array_equal(load_region(data_config).mask, mask)


def test_only_a_region_from_a_file_has_a_digest_and_it_depends_on_the_pixels_that_count(
    data_config, tmp_path
):
    masks = np.eye(8), np.kron(np.eye(8), np.ones((4, 4))), np.ones((8, 8))
    paths = [save_mask(tmp_path / f"{i}.png", mask) for i, mask in enumerate(masks)]
    digests = []
    for data_config.roi in ("ellipse", *paths):
        digests.append(load_region(data_config).digest)
    assert digests[0] == ""
    assert digests[1] == digests[2]  # the same region, stored with more pixels
    assert len(set(digests)) == 3


def test_the_region_of_the_dataset_is_the_file_beside_its_images(data_config, tmp_path):
    save_mask(tmp_path / "roi.png", np.eye(8))
    data_config.roi, data_config.manual_dir = "dataset", str(tmp_path)
    np.testing.assert_array_equal(load_region(data_config).mask, np.eye(8, dtype=bool))


@pytest.mark.parametrize("name", ["~/roi.png", "dataset"])
def test_the_file_may_be_below_the_home_folder(data_config, tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    save_mask(tmp_path / "roi.png", np.eye(8))
    data_config.roi, data_config.manual_dir = name, "~"
    np.testing.assert_array_equal(load_region(data_config).mask, np.eye(8, dtype=bool))


def test_a_file_that_is_missing_or_not_an_image_or_black_is_refused(data_config, tmp_path):
    data_config.roi = "~nobody_has_this_name/roi.png"
    with pytest.raises(UserError, match=r"there is no file ~nobody_has_this_name/roi.png"):
        load_region(data_config)
    data_config.roi = str(tmp_path / "absent.png")
    with pytest.raises(UserError, match=r"there is no file .*absent.png"):
        load_region(data_config)
    (tmp_path / "text.png").write_text("no image")
    data_config.roi = str(tmp_path / "text.png")
    with pytest.raises(UserError, match="cannot be read as an image"):
        load_region(data_config)
    data_config.roi = save_mask(tmp_path / "black.png", np.zeros((8, 8)))
    with pytest.raises(UserError, match="is black everywhere"):
        load_region(data_config)


def test_selecting_keeps_the_values_inside_the_region_in_their_order():
    mask = np.zeros((4, 4), bool)
    mask[1, 2] = mask[2, 1] = mask[3, 3] = True
    values = np.arange(2 * 16 * 3, dtype=np.float32).reshape(2, 4, 4, 3)
    np.testing.assert_array_equal(
        Region(mask).select(jnp.asarray(values)), values[:, mask][:, None]
    )


def test_selecting_from_a_smaller_grid_centres_it():
    mask = np.zeros((4, 4), bool)
    mask[0, 0] = mask[1, 2] = True
    values = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
    # The grid covers rows and columns 1 and 2 of the image.
    assert Region(mask).select(jnp.asarray(values)).ravel().tolist() == [1.0]


def test_images_are_black_outside_the_region_and_unchanged_inside():
    mask = np.eye(4, dtype=bool)
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    masked = np.asarray(Region(mask).zero_outside(jnp.asarray(images)))
    np.testing.assert_array_equal(masked[:, mask], images[:, mask])
    assert not masked[:, ~mask].any()
