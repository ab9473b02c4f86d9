import pathlib

import numpy as np
import pytest

from vae_jax.detector.overlays import draw_overlay, locate_picture, write_map

IMAGE = np.full((400, 400, 1), 100, np.uint8)


def draw(values, contour=1e9):
    picture = draw_overlay(IMAGE, values, 4.0, contour, "mse 1", is_anomalous=False)
    return np.asarray(picture)[:400]


def test_a_map_near_zero_leaves_the_image_as_it_is():
    assert (draw(np.zeros((400, 400))) == 100).all()
    assert abs(draw(np.full((400, 400), 0.04)).astype(int) - 100).max() <= 1


def test_the_colours_are_on_the_scale_of_the_run_and_not_of_the_image():
    values = np.zeros((400, 400))
    values[:200] = 2.0
    weak = draw(values)
    values[300:, 300:] = 8.0
    np.testing.assert_array_equal(draw(values)[:200], weak[:200])
    red, green, blue = draw(values)[350, 350]
    assert red > 180 > 60 > green == blue


def test_a_line_surrounds_the_places_above_the_contour():
    values = np.zeros((400, 400))
    values[100:200, 100:200] = 3.0
    picture = draw(values, contour=2.5)
    is_line = (picture == (0, 255, 255)).all(axis=2)
    assert is_line[100, 100:200].all()
    assert not is_line[110:190, 110:190].any()
    assert not is_line[:100].any()
    assert not (draw(values, contour=3.5) == (0, 255, 255)).all(axis=2).any()


def test_small_images_are_enlarged_and_colour_stays():
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 2] = 200
    picture = draw_overlay(image, np.zeros((8, 8)), 1.0, 1.0, "", is_anomalous=True)
    assert picture.width == 384
    assert picture.getpixel((5, 5)) == (0, 0, 200)
    assert picture.getpixel((380, picture.height - 2)) == (170, 0, 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.png", "out/a/b.png.npy"),
        ("/root/b.png", "out/root/b.png.npy"),
        ("../../b.png", "out/b.png.npy"),
        ("image 0", "out/image 0.npy"),
        ("..", "out/image.npy"),
    ],
)
def test_pictures_never_leave_their_folder(name, expected):
    assert locate_picture(pathlib.Path("out"), name, ".npy") == pathlib.Path(expected)


def test_a_map_is_written_as_float16(tmp_path):
    values = np.linspace(0, 5, 16).reshape(4, 4)
    write_map(tmp_path / "new" / "a.npy", values)
    stored = np.load(tmp_path / "new" / "a.npy")
    assert stored.dtype == np.float16
    np.testing.assert_allclose(stored, values, rtol=1e-3)
