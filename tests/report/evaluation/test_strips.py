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


def pixels(drawn):
    return np.asarray(Image.open(io.BytesIO(drawn.png)).convert("RGB")).astype(int)


def draw(*strips):
    with matplotlib.rc_context(drawing.STYLE):
        return report_strips.draw(strips)


def test_each_strip_has_a_figure_of_its_own_name(strip):
    drawn = draw(strip, strip)
    assert [figure.name for figure in drawn] == ["strip_0", "strip_1"]
    assert "Defect_images/0001_006_02.png" in drawn[0].caption
    assert pixels(drawn[0]).shape[1] > 2000


def test_the_mask_is_outlined_in_image_and_map(strip):
    without = Strip(strip.file, 0, "mse", strip.image, strip.values, strip.mask * 0, strip.covered)
    one, other = (pixels(figure) for figure in draw(strip, without))
    for colour in (drawing.VERMILION, drawing.SKY):
        target = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        near = [(abs(image - target).max(axis=2) < 30).sum() for image in (one, other)]
        assert near[0] > near[1] + 50


def test_one_error_has_one_colour_on_any_two_strips(strip):
    values = np.full(strip.values.shape, 4.0)
    covered = np.ones_like(strip.covered)
    calm = Strip("a", 0, "mse", strip.image, values, strip.mask * 0, covered)
    wild = Strip("b", 0, "mse", strip.image, values + 90 * (np.arange(256) > 200), strip.mask * 0,
                 covered)  # fmt: skip
    one, other = (pixels(figure) for figure in draw(calm, wild))
    height, width = one.shape[:2]
    place = np.s_[int(0.62 * height), width // 3]
    np.testing.assert_array_equal(one[place], other[place])


def test_the_same_strip_gives_the_same_bytes(strip):
    one, other = draw(strip), draw(strip)
    assert one[0].png == other[0].png
