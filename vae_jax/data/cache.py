"""Decoded images on disk, beside the records that they come from, so that the second start is quick.

A folder: `images.u8` and, where there are masks, `masks.u8` hold pixels alone, one image after the other,
so that they can be mapped into memory instead of read; `table.npz` holds the rest, and what these files
must be (number, shape, CRC-32).
"""

import contextlib
import logging
import os
import pathlib
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import BinaryIO

import numpy as np

_log = logging.getLogger(__name__)

PIXELS = ("images", "masks")
_CHUNK = 2**24  # bytes
_DAY = 86_400  # seconds

Arrays = dict[str, np.ndarray]


def read(path: pathlib.Path, mapped: bool = False) -> Arrays | None:
    """Returns the arrays of a cache, None if there is none or it is damaged.

    Args:
        path: of the folder.
        mapped: leaves the pixels on disk, where their number is checked but not their CRC-32.
    """
    try:
        with (
            (path / "table.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            arrays = {name: stored[name] for name in stored.files}
        for name in PIXELS:
            shape, crc = tuple(arrays.pop(f"{name}_shape").tolist()), int(arrays.pop(f"{name}_crc"))
            arrays[name] = _pixels(path / f"{name}.u8", shape, None if mapped else crc)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        _log.warning("%s is damaged and will be made again (%s)", path, error)
        return None
    return arrays


def discard(path: pathlib.Path) -> None:
    """Removes a damaged cache, at once for everybody who looks for it."""
    if path.exists():
        aside = _draft(path)
        os.replace(path, aside / path.name)
        shutil.rmtree(aside, ignore_errors=True)


def write(path: pathlib.Path, rows: Iterable[Mapping[str, np.ndarray]]) -> None:
    """Writes a cache, whole or not at all, with the pixels of one element of `rows` in memory.

    Where another process was first its cache stays, which is as good.

    Args:
        path: of the folder.
        rows: arrays of consecutive images; masks of no size stand for images without any.

    Raises:
        OSError: if that is not possible.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        with contextlib.ExitStack() as stack:
            files = {
                name: stack.enter_context((draft / f"{name}.u8").open("wb")) for name in PIXELS
            }
            rest = _write_pixels(rows, files)
        for name in PIXELS:
            rest[f"{name}_crc"] = np.uint32(_crc(draft / f"{name}.u8"))
        with (draft / "table.npz").open("wb") as file:
            np.savez(file, **rest)
        try:
            os.rename(draft, path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def joined(rows: Iterable[Mapping[str, np.ndarray]]) -> Arrays:
    """Returns the arrays of all rows in memory; where no image has a mask none is kept."""
    parts = list(rows)
    if not parts:
        return {}
    found = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        if name == "masks":
            shape = max((array.shape[1:] for array in arrays), default=(0, 0))
            arrays = [
                array if array.shape[1:] == shape else np.zeros((len(array), *shape), np.uint8)
                for array in arrays
            ]
        found[name] = np.concatenate(arrays)
    return found


def _draft(path: pathlib.Path) -> pathlib.Path:
    """Returns a new folder beside a cache; those that killed processes left are removed after a day."""
    for left in path.parent.glob(f"{path.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left)
    return pathlib.Path(tempfile.mkdtemp(".part", f"{path.name}.", path.parent))


def _write_pixels(
    rows: Iterable[Mapping[str, np.ndarray]], files: Mapping[str, BinaryIO]
) -> Arrays:
    """Writes the pixels as they come; returns the rest, and the pixels' shapes."""
    count, shapes = 0, {"images": (0, 0, 0), "masks": (0, 0)}
    rest = []
    for part in rows:
        for name, file in files.items():
            array = part[name]
            if array.size:
                shapes[name] = array.shape[1:]
                # Where images before had no mask, the hole that this leaves is read as zeros.
                file.seek(count * array[0].size)
                file.write(np.ascontiguousarray(array))
        count += len(part["images"])
        rest.append({name: array for name, array in part.items() if name not in files})
    for name, file in files.items():
        file.truncate(count * int(np.prod(shapes[name])))
    numbers = {f"{name}_shape": np.array((count, *shape)) for name, shape in shapes.items()}
    return joined(rest) | numbers


def _pixels(path: pathlib.Path, shape: tuple[int, ...], crc: int | None) -> np.ndarray:
    size = int(np.prod(shape))
    if path.stat().st_size != size:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, not {size}")
    if not size:
        return np.zeros(shape, np.uint8)
    if crc is None:
        return np.memmap(path, np.uint8, "r", shape=shape)
    pixels = np.fromfile(path, np.uint8).reshape(shape)
    if zlib.crc32(pixels) != crc:
        raise ValueError(f"{path.name} has another CRC-32 than when it was written")
    return pixels


def _crc(path: pathlib.Path) -> int:
    found = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found
