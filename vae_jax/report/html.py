"""HTML pages: the one Jinja environment for all templates, and images embedded in the page."""

import base64
import functools
import pathlib

import jinja2

from vae_jax.report.numerals import format_duration, format_quantity, format_rate


def make_data_uri(content: bytes, kind: str = "png") -> str:
    """Returns a `data:` address that contains the image, so that the page needs no other file.

    Args:
        content: the encoded image.
        kind: format of the image: "png", "jpeg" or "gif".
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


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
        "quantity": format_quantity,
        "rate": format_rate,
    }
    return environment
