"""The page of `--mode=explore`: one self-contained file, and its figures as files."""

import dataclasses
import io
import pathlib
from collections.abc import Sequence

import ml_collections
from PIL import Image

from vae_jax import workdir as workdir_lib
from vae_jax.report import html
from vae_jax.report.drawing import Drawing
from vae_jax.report.exploration.animation import Animation
from vae_jax.report.exploration.latent_map import PageMap

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
    figures: Sequence[Drawing | Animation] = ()
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
            if isinstance(figure, Animation):
                (figures / f"{figure.name}.gif").write_bytes(figure.gif)
            else:
                (figures / f"{figure.name}.png").write_bytes(figure.png)
    page = html.render_template(
        "exploration/page.html.jinja",
        name=config.name,
        sections=sections,
        omissions=omissions,
        config=config.explore.to_json(indent=2, sort_keys=True),
        is_film=lambda figure: isinstance(figure, Animation),
        source=_source,
        width=_width,
    )
    workdir_lib.write_text(workdir / "explore.html", page)
    return workdir / "explore.html"


def _source(figure: Drawing | Animation) -> str:
    if isinstance(figure, Animation):
        return html.make_data_uri(figure.gif, "gif")
    if len(figure.png) <= _LARGE:
        return html.make_data_uri(figure.png)
    stream = io.BytesIO()
    Image.open(io.BytesIO(figure.png)).convert("RGB").save(stream, "JPEG", quality=88)
    return html.make_data_uri(stream.getvalue(), "jpeg")


def _width(figure: Drawing) -> int:
    """Returns the width on the page, so that all figures have letters of one size; PNG says its own."""
    return int.from_bytes(figure.png[16:20], "big") // 2
