import io

import numpy as np
import pytest
from PIL import Image

from vae_jax.report import drawing
from vae_jax.report.exploration.latent_map import (
    MappedImages,
    choose_class_colours,
    draw_maps,
    make_interactive_map,
)


@pytest.fixture
def mapped():
    """Four images on one map; class b has a normal image and an anomaly."""
    places = np.array([[0.0, 0], [4, 1], [2, 2], [1, 0]])
    return MappedImages([("map", places)], ["b", "a", "b", "c"], [False, False, True, False])


@pytest.mark.parametrize("num_classes", [1, 6, 7, 10, 11, 20, 21, 43])
def test_every_class_has_a_colour_of_its_own(num_classes):
    assert len(set(choose_class_colours(num_classes))) == num_classes


def test_normal_classes_come_before_anomalies(mapped):
    assert mapped.list_classes() == [("a", False), ("b", False), ("c", False), ("b", True)]


def test_each_point_of_the_interactive_map_has_the_class_of_its_image(mapped):
    images = np.zeros((4, 8, 8, 1), np.float32)
    data = make_interactive_map(mapped, [["line"]] * 4, images, images).data
    classes = [tuple(data["classes"][index][::2]) for index in data["class_of"]]
    assert classes == [("b", False), ("a", False), ("b", True), ("c", False)]


def test_both_axes_have_one_scale_and_y_grows_downwards(mapped):
    images = np.zeros((4, 8, 8, 1), np.float32)
    x, y = make_interactive_map(mapped, [[]] * 4, images, images).data["views"]["map"]
    assert x == [0, 1, 0.5, 0.25]
    # The map is half as high as wide, so y ranges from 0.25 to 0.75.
    assert y == [0.75, 0.5, 0.25, 0.75]


def test_equal_places_lie_in_the_middle():
    mapped = MappedImages([("map", np.ones((2, 2)))], ["a", "a"], [False, False])
    images = np.zeros((2, 8, 8, 1), np.float32)
    data = make_interactive_map(mapped, [[], []], images, images).data
    assert data["views"]["map"] == [[0.5, 0.5], [0.5, 0.5]]


def test_the_sprite_contains_each_image_beside_its_reconstruction(mapped):
    images = np.arange(4, dtype=np.float32)[:, None, None, None] / 10 * np.ones((1, 8, 6, 1))
    images = images.astype(np.float32)
    interactive_map = make_interactive_map(mapped, [[]] * 4, images, 1 - images)
    assert interactive_map.encoding == "png"
    width, height = interactive_map.data["thumbnail"]
    assert (width, height) == (6, 8)
    with Image.open(io.BytesIO(interactive_map.sprite)) as sprite:
        pixels = np.asarray(sprite)
    for row in range(4):
        pair = pixels[:height, 2 * width * row : 2 * width * (row + 1)]
        expected = np.rint(255 * np.concatenate([images[row], 1 - images[row]], axis=1)[..., 0])
        np.testing.assert_array_equal(pair, expected)


def test_large_images_are_shrunk_and_encoded_as_jpeg():
    mapped = MappedImages([("map", np.zeros((1, 2)))], ["a"], [False])
    images = np.zeros((1, 96, 96, 3), np.float32)
    interactive_map = make_interactive_map(mapped, [[]], images, images)
    assert interactive_map.data["thumbnail"] == [48, 48]
    with Image.open(io.BytesIO(interactive_map.sprite)) as sprite:
        assert sprite.format == "JPEG"


def test_the_figure_contains_points_in_the_colour_of_every_class(mapped):
    figure = draw_maps("name", "title", mapped, "caption")
    with Image.open(io.BytesIO(figure.png)) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for colour in choose_class_colours(4):
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        # The points are drawn with opacity 0.75 on white.
        blended = 0.75 * rgb + 0.25 * 255
        assert np.abs(pixels - blended).sum(axis=1).min() < 6, colour


def test_every_class_has_an_entry_in_the_legend_whatever_its_name(monkeypatch):
    figures = []
    monkeypatch.setattr(drawing, "encode_figure", lambda figure: figures.append(figure) or b"")
    places = np.array([[0.0, 0], [4, 1], [2, 2]])
    names = ["_hidden", "$cost$", "plain"]
    mapped = MappedImages([("map", places)], names, [False, False, True])
    draw_maps("name", "title", mapped, "caption")
    (legend,) = figures[0].legends
    texts = [text.get_text().lstrip("\u200b") for text in legend.get_texts()]
    assert sorted(texts) == sorted(f"{name} (1)" for name in names)
