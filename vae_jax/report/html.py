"""Pages of HTML: one Jinja environment for every template, and addresses that carry their content."""

import base64
import functools
import pathlib

import jinja2

from vae_jax.report.numerals import format_duration, format_quantity, format_rate


def make_data_uri(content: bytes, kind: str = "png") -> str:
    """Returns an address that carries an image, so that a page needs no file beside it.

    Args:
        content: the encoded image.
        kind: subtype of `image/`: "png", "jpeg" or "gif".
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def render_template(template: str, **values: object) -> str:
    """Returns the page that a template makes of some values.

    Args:
        template: path below `vae_jax/report`, for example "evaluation/page.html.jinja".
        values: what the template names; a name that it uses and that is missing is an error.
    """
    return _environment().get_template(template).render(**values)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,  # names of files and classes, and errors, come from the user
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
