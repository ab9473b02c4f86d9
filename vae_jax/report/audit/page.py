"""The page of `--mode=audit`: one self-contained HTML file."""

import io
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from vae_jax import workdir as workdir_lib
from vae_jax.audit.findings import SEVERITIES
from vae_jax.audit.survey import Survey
from vae_jax.report import html, numerals
from vae_jax.report.images import SMALL


def write_page(
    workdir: pathlib.Path, name: str, audit: dict[str, Any], survey: Survey
) -> pathlib.Path:
    """Writes `audit.html`; the same audit gives the same bytes.

    Args:
        workdir: folder that gets the page.
        name: name of the run.
        audit: content of audit.json.
        survey: the images, some of them with pictures.

    Returns:
        The path of the page.
    """
    page = html.render_template(
        "audit/page.html.jinja",
        name=name,
        audit=audit,
        severities=SEVERITIES,
        findings={
            severity: [f for f in audit["findings"] if f["severity"] == severity]
            for severity in SEVERITIES
        },
        classes=[
            (class_name, summary, _list_pictures(survey, class_name))
            for class_name, summary in audit["classes"].items()
        ],
        label_names={0: "normal", 1: "abnormal", -1: "not used"},
        percent=numerals.format_percent,
        size=numerals.format_size,
        rate=numerals.format_rate,
        join_counts=_join_counts,
    )
    path = workdir / "audit.html"
    # Names of files may contain bytes that are not UTF-8.
    workdir_lib.write_text(path, page.encode("utf-8", "backslashreplace").decode("utf-8"))
    return path


def _list_pictures(survey: Survey, class_name: str) -> list[tuple[str, str]]:
    """Returns file and picture of a few images of a class, each picture as a data URI."""
    return [
        (source.file, _encode(facts.picture))
        for source, facts in zip(survey.sources, survey.facts, strict=True)
        if source.class_name == class_name and facts.picture is not None
    ]


def _encode(picture: np.ndarray) -> str:
    """Returns a picture as JPEG, or as PNG if it is so small that artefacts would be visible."""
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(picture))
    kind = "png" if max(image.size) < SMALL else "jpeg"
    image.save(stream, kind, quality=85)
    return html.make_data_uri(stream.getvalue(), kind)


def _join_counts(counts: dict[str, int], others: int = 0) -> str:
    """Returns names with their numbers, separated by commas."""
    listed = [f"{name} ({count:,})" for name, count in counts.items()]
    if others > 0:
        listed.append(f"{others:,} more")
    return ", ".join(listed)
