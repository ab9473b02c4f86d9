"""The page of `--mode=explore`: one self-contained HTML file, and its figures as separate files."""

import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections

from vae_jax import workdir as workdir_lib
from vae_jax.report import html
from vae_jax.report.drawing import Drawing
from vae_jax.report.exploration.animation import Animation
from vae_jax.report.exploration.latent_map import InteractiveMap


@dataclasses.dataclass(frozen=True)
class NumberTable:
    """A table of formatted numbers; the first cell of a row is its name.

    Attributes:
        head: heading of each column.
        rows: cells of each row.
        note: text that explains how to read the table.
    """

    head: list[str]
    rows: list[list[str]]
    note: str


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page. It shows its text, table, map and figures in this order.

    Attributes:
        anchor: fragment identifier of the section.
        title: heading of the section.
        text: paragraphs.
        figures: drawings and animations.
        table: table of numbers, or None.
        map: interactive map, or None.
    """

    anchor: str
    title: str
    text: list[str]
    figures: Sequence[Drawing | Animation] = ()
    table: NumberTable | None = None
    map: InteractiveMap | None = None


def write_page(
    workdir: pathlib.Path,
    config: ml_collections.ConfigDict,
    sections: Sequence[Section],
    omissions: Sequence[str],
) -> pathlib.Path:
    """Writes `explore.html` and `figures/explore_*`; the same sections give the same bytes.

    Args:
        workdir: workdir of the run.
        config: config of the run.
        sections: sections of the page, in this order.
        omissions: for each part that is left out, a sentence that gives the reason.

    Returns:
        The path of the page.
    """
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    for section in sections:
        for figure in section.figures:
            if isinstance(figure, Animation):
                (folder / f"{figure.name}.gif").write_bytes(figure.gif)
            else:
                (folder / f"{figure.name}.png").write_bytes(figure.png)
    page = html.render_template(
        "exploration/page.html.jinja",
        name=config.name,
        sections=sections,
        omissions=omissions,
        config=config.explore.to_json(indent=2, sort_keys=True),
        has_report=(workdir / "report.html").is_file(),
        is_animation=lambda figure: isinstance(figure, Animation),
        encode_figure=_encode_figure,
        display_width=_display_width,
    )
    workdir_lib.write_text(workdir / "explore.html", page)
    return workdir / "explore.html"


def _encode_figure(figure: Drawing | Animation) -> str:
    """Returns the figure as a data URI."""
    if isinstance(figure, Animation):
        return html.make_data_uri(figure.gif, "gif")
    return html.make_figure_uri(figure.png)


def _display_width(figure: Drawing) -> int:
    """Returns the width on the page, half the width of the file, so that all figures have equal letters.

    A PNG file stores its width in the bytes 16 to 19.
    """
    return int.from_bytes(figure.png[16:20], "big") // 2
