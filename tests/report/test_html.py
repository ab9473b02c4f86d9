import base64
import pathlib

import jinja2
import pytest

from vae_jax.report import html

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


def test_a_missing_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="name"):
        html.render_template("evaluation/page.html.jinja")


def test_values_are_text_and_never_markup():
    template = html._environment().from_string("<p>{{ name }}</p>")
    assert template.render(name="<b>&") == "<p>&lt;b&gt;&amp;</p>"
