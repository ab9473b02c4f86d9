"""Test images and what each setting makes of them, in rows, for the page of an ablation.

N images, H W their sides, C channels.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image

from vae_jax.report import images as report_images
from vae_jax.report.evaluation.cases import ReportImages

_COPIES = pathlib.Path("figures", "copies")
_SHOWN = 6  # images of either label in a row
_HIGHEST = 96  # pixels of an image in a row: the page holds a row or two for each setting


@dataclasses.dataclass(frozen=True)
class Strips:
    """Test images of one seed and a setting's copies of them, as PNG; `images` is b"" if as above."""

    name: str
    images: bytes
    copies: bytes


def write(workdir: pathlib.Path, name: str, gallery: ReportImages) -> None:
    """Writes what the page shows of one cell: test images and their copies, a row each.

    Args:
        workdir: of the ablation.
        name: of the cell.
        gallery: of the cell's own report.
    """
    folder = workdir / _COPIES
    folder.mkdir(parents=True, exist_ok=True)
    cases = (gallery.normals, gallery.anomalies)
    for suffix, rows in (
        ("images", [found.images[:_SHOWN] for found in cases]),
        ("copies", [found.reconstructions[:_SHOWN] for found in cases]),
    ):
        strip = _strip(np.concatenate(rows))
        (folder / f"{name}.{suffix}.png").write_bytes(strip)


def read(workdir: pathlib.Path, names: Sequence[str]) -> list[Strips]:
    """Returns the strips of those of the cells that have them; images that repeat stand once."""
    found, above = [], b""
    for name in names:
        images, copies = (
            workdir / _COPIES / f"{name}.{suffix}.png" for suffix in ("images", "copies")
        )
        if copies.exists():
            shown = images.read_bytes()
            new = b"" if shown == above else shown
            found.append(Strips(name.rpartition(",seed=")[0], new, copies.read_bytes()))
            above = shown
    return found


def _strip(images: Float[np.ndarray, "N H W C"]) -> bytes:
    """Returns images in one row, as PNG; large ones are made smaller."""
    pixels = report_images.make_mosaic(
        report_images.to_rgb(images), len(images), gap=max(1, images.shape[1] // 24)
    )
    if images.shape[1] > _HIGHEST:
        scale = _HIGHEST / images.shape[1]
        size = (round(pixels.shape[1] * scale), _HIGHEST)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return report_images.encode_png(pixels)
