"""HTML pages: the one Jinja environment for all templates, and images embedded in the page."""

import base64
import functools
import io
import pathlib

import jinja2
import numpy as np
from PIL import Image

from vae_jax.report.images import encode_webp
from vae_jax.report.numerals import format_duration, format_quantity, format_rate

# A PNG of more bytes shows photographs. The page contains it as WebP, which is several times smaller.
_MAX_PNG = 300_000
_QUALITY = 88


def make_data_uri(content: bytes, kind: str = "png") -> str:
    """Returns a `data:` address that contains the image, so that the page needs no other file.

    Args:
        content: the encoded image.
        kind: format of the image: "png", "webp", "jpeg" or "gif".
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def make_figure_uri(png: bytes) -> str:
    """Returns a `data:` address that contains a figure, which is stored as WebP if its PNG is large."""
    if len(png) <= _MAX_PNG:
        return make_data_uri(png)
    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        return make_data_uri(encode_webp(np.asarray(image.convert("RGB")), _QUALITY), "webp")


def render_template(template: str, **values: object) -> str:
    """Returns the HTML page that a template makes of the given values.

    Args:
        template: path of the template below `vae_jax/report`, for example "evaluation/page.html.jinja".
        values: values by the names that the template uses.

    Raises:
        jinja2.UndefinedError: the template uses a name that has no value.
    """
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,  # file names, class names and error messages come from outside
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {
        "data_uri": make_data_uri,
        "duration": format_duration,
        "figure_uri": make_figure_uri,
        "quantity": format_quantity,
        "rate": format_rate,
    }
    return environment
