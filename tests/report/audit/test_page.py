import html
import re

import numpy as np
import pytest
from PIL import Image

from vae_jax.audit_data import audit_images
from vae_jax.config import default
from vae_jax.report.audit.page import write_page

HOSTILE = "_<img src=x onerror=alert(1)>$x$ \"'&"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a folder in which the names of the folder, of a class and of a file are hostile."""
    folder = tmp_path_factory.mktemp("pages") / HOSTILE
    rng = np.random.default_rng(0)
    for name in [f"good/{i}.png" for i in range(20)] + [f"{HOSTILE}/{i}.png" for i in range(5)]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 20, 3), np.uint8)).save(path)
    (folder / "good" / f"{HOSTILE}.png").write_bytes(b"no image")
    (folder / "good" / f"x.{HOSTILE}").write_text("x")
    config = default()
    config.name = HOSTILE
    config.data.dataset, config.data.manual_dir = "folder", str(folder)
    config.data.dir = str(folder.parent / "prepared")
    config.data.anomaly_classes = ()
    survey, audit = audit_images(config)
    workdir = folder.parent / "run"
    workdir.mkdir()
    return write_page(workdir, config.name, audit, survey).read_text("utf-8")


def test_hostile_names_are_shown_as_text(page):
    assert "<img src=x" not in page
    assert html.escape(HOSTILE, quote=False).split('"')[0] in page
    sources = re.findall(r"<img [^>]*src=\"([^\"]*)\"", page)
    assert len(sources) == 25
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"<[^>]* on\w+=", page.replace("onerror=alert(1)&gt;", ""))


def test_the_page_loads_nothing(page):
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "<script" not in page


def test_the_navigation_leads_to_every_section(page):
    for anchor in re.findall(r"<a href=\"#(\w+)\"", page):
        assert f'id="{anchor}"' in page


def test_every_section_is_filled(page):
    assert "1 unreadable image" in page
    assert "not an image" in page
    assert "25 images" in page
    assert "A run would use" in page
