"""The page of `--mode=explore`: one self-contained file, and its figures as files."""

import base64
import dataclasses
import functools
import io
import pathlib
from collections.abc import Sequence

import jinja2
import ml_collections
from PIL import Image

from vae_jax import workdir as workdir_lib
from vae_jax.report.animation import Film
from vae_jax.report.drawing import Drawing
from vae_jax.report.latent_map import PageMap

_LARGE = 500_000  # bytes of a PNG that shows photographs; as JPEG they take a fifth on the page


@dataclasses.dataclass(frozen=True)
class Table:
    """Words and numbers, ready to read; the first cell of a row is its name.

    Attributes:
        head: of the columns.
        rows: cells.
        note: how to read it.
    """

    head: list[str]
    rows: list[list[str]]
    note: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its address on the page.
        title: heading.
        text: paragraphs.
        figures: drawings and films.
        table: under the text.
        map: under the table.
    """

    anchor: str
    title: str
    text: list[str]
    figures: Sequence[Drawing | Film] = ()
    table: Table | None = None
    map: PageMap | None = None


def write(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    sections: Sequence[Section],
    omissions: Sequence[str],
) -> pathlib.Path:
    """Writes `explore.html` and `figures/explore_*`; the same sections give the same bytes.

    Args:
        workdir: of the run.
        config: of the run.
        sections: in their order.
        omissions: one sentence each on what could not be shown.

    Returns:
        The path of the page.
    """
    figures = workdir / "figures"
    figures.mkdir(exist_ok=True)
    for section in sections:
        for figure in section.figures:
            if isinstance(figure, Film):
                (figures / f"{figure.name}.gif").write_bytes(figure.gif)
            else:
                (figures / f"{figure.name}.png").write_bytes(figure.png)
    page = _template().render(
        name=config.name,
        sections=sections,
        omissions=omissions,
        config=config.explore.to_json(indent=2, sort_keys=True),
    )
    workdir_lib.write_text(workdir / "explore.html", page)
    return workdir / "explore.html"


def _source(figure: Drawing | Film) -> str:
    if isinstance(figure, Film):
        return data_uri("image/gif", figure.gif)
    if len(figure.png) <= _LARGE:
        return data_uri("image/png", figure.png)
    stream = io.BytesIO()
    Image.open(io.BytesIO(figure.png)).convert("RGB").save(stream, "JPEG", quality=88)
    return data_uri("image/jpeg", stream.getvalue())


def _width(figure: Drawing) -> int:
    """Returns the width on the page, so that all figures have letters of one size; PNG says its own."""
    return int.from_bytes(figure.png[16:20], "big") // 2


def data_uri(mime: str, content: bytes) -> str:
    """Returns an address that carries its content."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
        autoescape=True,  # names of files and classes are the user's
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    environment.filters |= {
        "source": _source,
        "width": _width,
        "is_film": lambda figure: isinstance(figure, Film),
        "sprite_uri": lambda found: data_uri(found.mime, found.sprite),
    }
    return environment.get_template("explore.html.jinja")
