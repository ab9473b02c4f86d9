import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from vae_jax.report import drawing
from vae_jax.report.evaluation import strips as report_strips
from vae_jax.scoring.stitching import Strip


@pytest.fixture
def strip():
    rng = np.random.default_rng(0)
    mask = np.zeros((16, 256), np.uint8)
    mask[6:9, 100:104] = 1
    values = rng.normal(size=mask.shape) + 20 * mask
    covered = np.ones(mask.shape, bool)
    covered[:, :32] = False
    image = rng.integers(0, 256, (16, 256, 1), np.uint8)
    return Strip("Defect_images/0001_006_02.png", 1, "mse", image, values, mask, covered)


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB")).astype(int)


def draw(*strips):
    with matplotlib.rc_context(drawing.STYLE):
        return report_strips.draw_strips(strips)


def test_each_strip_has_a_figure_with_its_own_name(strip):
    figures = draw(strip, strip)
    assert [figure.name for figure in figures] == ["strip_0", "strip_1"]
    assert "Defect_images/0001_006_02.png" in figures[0].caption
    assert pixels(figures[0]).shape[1] > 2000


def test_the_mask_is_outlined_in_the_image_and_in_the_map(strip):
    without = Strip(strip.file, 0, "mse", strip.image, strip.values, strip.mask * 0, strip.covered)
    outlined, plain = (pixels(figure) for figure in draw(strip, without))
    for colour in (drawing.VERMILION, drawing.SKY):
        target = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        near = [(abs(image - target).max(axis=2) < 30).sum() for image in (outlined, plain)]
        assert near[0] > near[1] + 50


def test_equal_errors_have_equal_colours_on_different_strips(strip):
    values = np.full(strip.values.shape, 4.0)
    covered = np.ones_like(strip.covered)
    calm = Strip("a", 0, "mse", strip.image, values, strip.mask * 0, covered)
    wild = Strip("b", 0, "mse", strip.image, values + 90 * (np.arange(256) > 200), strip.mask * 0,
                 covered)  # fmt: skip
    first, second = (pixels(figure) for figure in draw(calm, wild))
    height, width = first.shape[:2]
    point = np.s_[int(0.62 * height), width // 3]
    np.testing.assert_array_equal(first[point], second[point])


def test_the_same_strip_gives_the_same_bytes(strip):
    first, second = draw(strip), draw(strip)
    assert first[0].png == second[0].png


def test_rows_are_the_scores_and_then_the_maps_with_their_measures(strip_results):
    scores, maps = report_strips.list_strip_rows({"strips": strip_results})
    assert (scores.name, maps.name) == ("fusion", "mse map")
    assert {column: m["value"] for column, m in scores.measures.items()} == {"clean": 0.62}
    assert {column: m["value"] for column, m in maps.measures.items()} == {
        "image": 0.58, "rolls": 0.71, "clean": 0.62, "pixel_auroc": 0.843, "aupro": 0.519,
    }  # fmt: skip
    assert maps.measures["pixel_auroc"]["high"] == 0.872
    assert "high" not in maps.measures["aupro"]
    assert set(maps.measures) == set(report_strips.STRIP_COLUMNS)


def test_without_strips_there_are_neither_rows_nor_counts():
    assert report_strips.list_strip_rows({}) == []
    assert report_strips.describe_strip_counts({}) == ""


def test_a_map_is_beside_an_image_and_below_a_long_strip(strip):
    image = Strip(
        "good/0.png", 0, "mse", strip.image[:, 95:115], strip.values[:, 95:115], strip.mask[:, 95:115],
        strip.covered[:, 95:115], noun="image",
    )  # fmt: skip
    below, beside = draw(strip, image)
    assert (below.name, beside.name) == ("strip_0", "image_1")
    assert "score of the strip" in below.caption
    assert "score" not in beside.caption
    assert "The whole image good/0.png" in beside.caption
    heights = [pixels(figure).shape[0] for figure in (below, beside)]
    assert heights[1] > 1.5 * heights[0]
