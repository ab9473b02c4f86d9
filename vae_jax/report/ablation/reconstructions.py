"""Test images and their reconstructions by each cell, as rows of images for the page of an ablation.

N images, H W image, C channels.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image

from vae_jax.report.evaluation.cases import ReportImages
from vae_jax.report.images import encode_png, make_mosaic, to_rgb

_FOLDER = pathlib.Path("figures", "reconstructions")
_MAX_IMAGES = 6  # normal images in a row; as many anomalies follow them
_MAX_HEIGHT = 96  # pixels of an image in a row, because the page holds one or two rows per setting


@dataclasses.dataclass(frozen=True)
class ReconstructionRow:
    """The reconstructions by one setting, and the test images that were reconstructed.

    Attributes:
        name: name of the setting.
        images: test images in one row, as PNG; b"" if the row above shows the same images.
        reconstructions: their reconstructions in one row, as PNG.
    """

    name: str
    images: bytes
    reconstructions: bytes


def write_reconstructions(
    workdir: pathlib.Path, cell_name: str, report_images: ReportImages
) -> None:
    """Writes test images and their reconstructions by one cell, each as one row of images.

    It writes nothing for a cell whose model has no reconstructions, because it explains other observations
    than pixels.

    Args:
        workdir: folder of the ablation.
        cell_name: name of the cell.
        report_images: images of the cell's own report.
    """
    galleries = (report_images.normals, report_images.anomalies)
    if any(cases.reconstructions is None for cases in galleries):
        return
    (workdir / _FOLDER).mkdir(parents=True, exist_ok=True)
    images = np.concatenate([cases.images[:_MAX_IMAGES] for cases in galleries])
    reconstructions = np.concatenate([cases.reconstructions[:_MAX_IMAGES] for cases in galleries])
    images_path, reconstructions_path = _make_paths(workdir, cell_name)
    images_path.write_bytes(_encode_row(images))
    reconstructions_path.write_bytes(_encode_row(reconstructions))


def read_reconstructions(
    workdir: pathlib.Path, cell_names: Sequence[str]
) -> list[ReconstructionRow]:
    """Returns a row for each cell that has reconstructions.

    Args:
        workdir: folder of the ablation.
        cell_names: names of cells of one seed, in the order of the rows.
    """
    rows, images_above = [], b""
    for cell_name in cell_names:
        images_path, reconstructions_path = _make_paths(workdir, cell_name)
        if reconstructions_path.exists():
            images = images_path.read_bytes()
            setting = cell_name.rpartition(",seed=")[0]
            rows.append(
                ReconstructionRow(
                    setting,
                    images=b"" if images == images_above else images,
                    reconstructions=reconstructions_path.read_bytes(),
                )
            )
            images_above = images
    return rows


def _make_paths(workdir: pathlib.Path, cell_name: str) -> tuple[pathlib.Path, pathlib.Path]:
    folder = workdir / _FOLDER
    return folder / f"{cell_name}.images.png", folder / f"{cell_name}.reconstructions.png"


def _encode_row(images: Float[np.ndarray, "N H W C"]) -> bytes:
    """Returns images in one row, as PNG; images higher than `_MAX_HEIGHT` are made smaller."""
    pixels = make_mosaic(to_rgb(images), len(images), gap=max(1, images.shape[1] // 24))
    if images.shape[1] > _MAX_HEIGHT:
        scale = _MAX_HEIGHT / images.shape[1]
        size = (round(pixels.shape[1] * scale), _MAX_HEIGHT)
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return encode_png(pixels)
