import io
import re

import numpy as np
import pytest
from PIL import Image

from vae_jax.config import default
from vae_jax.report.drawing import Drawing
from vae_jax.report.exploration.animation import Animation
from vae_jax.report.exploration.page import NumberTable, Section, write_page


def encode(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def small_png():
    return encode(np.zeros((10, 300, 3), np.uint8))


def read_page(workdir, *sections, omissions=()):
    path = write_page(workdir, default(), sections, omissions)
    assert path == workdir / "explore.html"
    return path.read_text(encoding="utf-8")


def test_figures_are_written_as_files_and_contained_in_the_page(tmp_path, small_png):
    drawing = Drawing("explore_a", small_png, "caption a", "alt a")
    animation = Animation("explore_b", b"GIF89a", "caption b", "alt b")
    page = read_page(tmp_path, Section("x", "Title", ["text"], [drawing, animation]))
    assert (tmp_path / "figures/explore_a.png").read_bytes() == small_png
    assert (tmp_path / "figures/explore_b.gif").read_bytes() == b"GIF89a"
    assert re.search(r'max-width:150px" src="data:image/png;base64,[^"]+" alt="alt a"', page)
    assert re.search(r'class="animation" src="data:image/gif;base64,[^"]+" alt="alt b"', page)
    assert "caption a" in page
    assert "caption b" in page


def test_a_figure_with_photographs_becomes_webp_on_the_page_only(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
    png = encode(noise)
    page = read_page(tmp_path, Section("x", "Title", [], [Drawing("explore_a", png, "", "")]))
    assert "data:image/webp" in page
    assert (tmp_path / "figures/explore_a.png").read_bytes() == png


def test_the_navigation_leads_to_every_section(tmp_path):
    page = read_page(tmp_path, Section("one", "First", []), Section("two", "Second", []))
    assert re.findall(r'<a href="#(\w+)">(\w+)</a>', page) == [("one", "First"), ("two", "Second")]
    assert {"one", "two"} <= set(re.findall(r'<h2 id="(\w+)"', page))


def test_cells_of_a_table_keep_their_order_and_are_escaped(tmp_path):
    table = NumberTable(["images", "distance"], [["<b>", "1"], ["y", "2"]], "note & more")
    page = read_page(tmp_path, Section("x", "Title", [], table=table))
    assert re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", page) == [
        "images", "distance", "&lt;b&gt;", "1", "y", "2",
    ]  # fmt: skip
    assert "note &amp; more" in page


def test_omissions_are_listed_if_there_are_any(tmp_path):
    assert "left out" not in read_page(tmp_path, Section("x", "Title", []))
    page = read_page(tmp_path, Section("x", "Title", []), omissions=["a map needs 5 images"])
    assert "Parts that are left out" in page
    assert "<li>a map needs 5 images</li>" in page
