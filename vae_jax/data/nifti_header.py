"""The header of a NIfTI file: shape, orientation, and the axis along which its slices lie."""

import contextlib
import gzip
import io
import pathlib
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from vae_jax.data.frame_file import UnreadableFile

_MIN_RATIO = 1.5  # of the largest spacing to the next one
_HEADER_BYTES = {348: "Nifti1Header", 540: "Nifti2Header"}  # also the first number in the header


def is_packed(path: pathlib.Path) -> bool:
    """Returns whether a file is a .nii.gz."""
    return path.name.lower().endswith(".gz")


@contextlib.contextmanager
def report_damage() -> Iterator[None]:
    """Turns the errors of gzip into a ValueError with one line."""
    try:
        yield
    except EOFError as error:
        raise UnreadableFile("the file is cut off") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFile("the file is damaged: it cannot be unpacked") from error


def read_header_block(path: pathlib.Path) -> Any:
    """Returns the header of a file as nibabel's object; nothing behind it is read.

    Raises:
        UnreadableFile: if the file is cut off, damaged, or no NIfTI file.
    """
    import nibabel

    with report_damage(), _open(path) as file:
        block = file.read(max(_HEADER_BYTES))
    for size, name in _HEADER_BYTES.items():
        for order in ("little", "big"):
            if int.from_bytes(block[:4], order) == size and len(block) >= size:
                try:
                    return getattr(nibabel, name)(block[:size], check=False)
                except Exception as error:  # nibabel raises several kinds for damaged headers
                    raise UnreadableFile("the header of the file is damaged") from error
    raise UnreadableFile("not a NIfTI file")


def _open(path: pathlib.Path) -> io.BufferedIOBase:
    return gzip.open(path) if is_packed(path) else path.open("rb")


def read_shape(header: Any) -> tuple[int, ...]:
    """Returns the shape of a volume or of a single image, without axes of length 1 at its end."""
    num_axes = int(header["dim"][0])
    shape = [int(length) for length in header["dim"][1 : 1 + num_axes]]
    if not 2 <= num_axes <= 7 or min(shape) < 1:
        raise UnreadableFile("the header of the file is damaged: its dimensions are impossible")
    while len(shape) > 2 and shape[-1] == 1:
        shape.pop()
    if len(shape) > 3:
        raise UnreadableFile(
            f"{len(shape)} dimensions ({'x'.join(map(str, shape))}), for example time; split it into "
            "volumes of 3 dimensions"
        )
    return tuple(shape)


def read_orientation(header: Any) -> list[tuple[int, int]]:
    """Returns for each stored axis its axis in space (0 left to right, 1, 2) and its direction, 1 or -1."""
    import nibabel

    try:
        with np.errstate(all="ignore"):
            orientation = nibabel.io_orientation(header.get_best_affine())
    except Exception:  # an affine map that is no rotation
        orientation = np.full((3, 2), np.nan)
    if not np.isfinite(orientation).all():
        return [(0, 1), (1, 1), (2, 1)]
    return [(int(axis), int(direction)) for axis, direction in orientation]


def choose_axis(header: Any, shape: tuple[int, ...]) -> int | None:
    """Returns the stored axis along which the slices lie; None for a single image."""
    if len(shape) == 2:
        return None
    spacings = [abs(float(spacing)) for spacing in header["pixdim"][1:4]]
    first, second = np.argsort(spacings)[::-1][:2]
    is_thick = np.isfinite(spacings).all() and spacings[first] >= _MIN_RATIO * spacings[second] > 0
    return int(first) if is_thick else 2
