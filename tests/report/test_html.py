import base64
import io
import pathlib

import jinja2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vae_jax.report import html
from vae_jax.report.images import encode_png

TEMPLATES = sorted(
    str(path.relative_to(pathlib.Path(html.__file__).parent))
    for path in pathlib.Path(html.__file__).parent.rglob("*.jinja")
)


def test_data_uri_contains_the_image():
    content = bytes(range(256))
    head, _, encoded = html.make_data_uri(content, "gif").partition(",")
    assert head == "data:image/gif;base64"
    assert base64.b64decode(encoded) == content


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_uses_only_filters_that_exist(template):
    html._environment().get_template(template)


@pytest.mark.parametrize("template", TEMPLATES)
def test_long_lines_can_be_scrolled_with_the_keyboard(template):
    assert "<pre>" not in (pathlib.Path(html.__file__).parent / template).read_text()


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="name"):
        html.render_template("evaluation/page.html.jinja")


def test_values_are_text_and_never_markup():
    template = html._environment().from_string("<p>{{ name }}</p>")
    assert template.render(name="<b>&") == "<p>&lt;b&gt;&amp;</p>"


def test_a_figure_of_photographs_is_smaller_in_the_page_and_looks_the_same():
    patches = np.random.default_rng(0).integers(0, 256, (60, 60, 3))
    smooth = ndimage.zoom(patches.astype(float), (10, 10, 1), order=3)
    pixels = np.clip(smooth + np.random.default_rng(1).normal(0, 4, smooth.shape), 0, 255)
    png = encode_png(pixels.astype(np.uint8))
    kind, content = html.make_figure_uri(png).split(";base64,")
    assert kind == "data:image/webp"
    webp = base64.b64decode(content)
    assert len(webp) < len(png) / 2
    shown = np.asarray(Image.open(io.BytesIO(webp)), float)
    assert np.abs(shown - pixels).mean() < 10


def test_a_small_figure_stays_as_it_is():
    png = encode_png(np.zeros((4, 4, 3), np.uint8))
    assert html.make_figure_uri(png) == html.make_data_uri(png)
