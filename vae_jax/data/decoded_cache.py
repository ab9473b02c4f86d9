"""Decoded images in files beside the records that they come from, so that the next start is fast.

One cache is a folder. `images.u8` holds nothing but pixels, one image after the other, so that the file can
be mapped into memory; so does `masks.u8`, which is empty where no image has a mask. `table.npz` holds all
other columns, and the shape and the CRC-32 of both files.
"""

import contextlib
import dataclasses
import logging
import math
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

PIXELS = ("images", "masks")  # columns with a file of their own
_EMPTY_SHAPES = {"images": (0, 0, 0), "masks": (0, 0)}  # shape of one image where none has pixels
_CHUNK = 2**24  # bytes
_DAY = 86_400  # seconds

Arrays = dict[str, np.ndarray]  # name of a column -> one row per image


@dataclasses.dataclass(frozen=True)
class DecodedCache:
    """A cache whose table has been read, but not yet its pixels.

    Attributes:
        path: folder of the cache.
        columns: all columns except the pixels, N rows each.
        shapes: shape of each column of pixels, [N, H, W, C] and [N, H, W].
        checksums: CRC-32 of each file of pixels.
    """

    path: pathlib.Path
    columns: Arrays
    shapes: dict[str, tuple[int, ...]]
    checksums: dict[str, int]

    @property
    def num_pixel_bytes(self) -> int:
        """Bytes that the pixels take in memory."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def map_pixels(self) -> Arrays:
        """Returns the pixels as arrays that are mapped from the files; nothing is read or checked."""
        return {
            # An empty file cannot be mapped.
            name: np.memmap(self._file(name), np.uint8, "r", shape=shape)
            if math.prod(shape)
            else np.zeros(shape, np.uint8)
            for name, shape in self.shapes.items()
        }

    def load_pixels(self) -> Arrays | None:
        """Reads the pixels into memory; returns None, and logs a warning, if they are damaged."""
        try:
            return {name: self._load(name) for name in self.shapes}
        except (OSError, ValueError) as error:
            _warn_of_damage(self.path, error)
            return None

    def _load(self, name: str) -> np.ndarray:
        pixels = np.fromfile(self._file(name), np.uint8)
        if (
            pixels.size != math.prod(self.shapes[name])
            or zlib.crc32(pixels) != self.checksums[name]
        ):
            raise ValueError(f"{name}.u8 has changed since it was written")
        return pixels.reshape(self.shapes[name])

    def _file(self, name: str) -> pathlib.Path:
        return self.path / f"{name}.u8"


def open_cache(path: pathlib.Path) -> DecodedCache | None:
    """Reads the table of a cache, and checks that the files of pixels have the right size.

    Returns:
        The cache; None if there is no such folder, or, with a warning in the log, if it is damaged.
    """
    try:
        with (
            (path / "table.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as table,
        ):
            columns = {name: table[name] for name in table.files}
        shapes = {name: tuple(columns.pop(f"{name}_shape").tolist()) for name in PIXELS}
        checksums = {name: int(columns.pop(f"{name}_crc")) for name in PIXELS}
        for name, shape in shapes.items():
            size = (path / f"{name}.u8").stat().st_size
            if size != math.prod(shape):
                raise ValueError(f"{name}.u8 has {size} bytes instead of {math.prod(shape)}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        _warn_of_damage(path, error)
        return None
    return DecodedCache(path, columns, shapes, checksums)


def _warn_of_damage(path: pathlib.Path, reason: object) -> None:
    _log.warning("%s is damaged and will be made again (%s)", path, reason)


def discard_cache(path: pathlib.Path) -> None:
    """Removes a cache, if it exists; other processes see it either whole or not at all."""
    if path.exists():
        aside = _make_draft_folder(path)
        os.replace(path, aside / path.name)
        shutil.rmtree(aside, ignore_errors=True)


def write_cache(path: pathlib.Path, parts: Iterable[Mapping[str, np.ndarray]]) -> None:
    """Writes a whole cache or nothing; only the pixels of one part at a time are in memory.

    If another process has written the same cache in the meantime, that one is kept.

    Args:
        path: folder of the cache.
        parts: columns of consecutive images; masks of size 0 stand for images without a mask.

    Raises:
        OSError: if the files cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _make_draft_folder(path)
    try:
        columns = _write_pixels(draft, parts)
        with (draft / "table.npz").open("wb") as file:
            np.savez(file, **columns)
        try:
            os.rename(draft, path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def join_arrays(parts: Iterable[Mapping[str, np.ndarray]]) -> Arrays:
    """Returns the columns of all parts in memory, one part after the other.

    Images without a mask get an empty one if any image has a mask; otherwise the masks have size 0.
    """
    parts = list(parts)
    if not parts:
        return {}
    joined = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        if name == "masks":
            shape = max(array.shape[1:] for array in arrays)
            arrays = [
                array if array.shape[1:] == shape else np.zeros((len(array), *shape), np.uint8)
                for array in arrays
            ]
        joined[name] = np.concatenate(arrays)
    return joined


def _make_draft_folder(path: pathlib.Path) -> pathlib.Path:
    """Makes a new folder beside a cache; removes folders that killed processes left a day ago or more."""
    for draft in path.parent.glob(f"{path.name}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - draft.stat().st_mtime > _DAY:
                shutil.rmtree(draft)
    return pathlib.Path(tempfile.mkdtemp(".part", f"{path.name}.", path.parent))


def _write_pixels(folder: pathlib.Path, parts: Iterable[Mapping[str, np.ndarray]]) -> Arrays:
    """Writes the pixels part by part; returns all other columns, with shapes and CRC-32 of the pixels."""
    count = 0
    tables = []
    with contextlib.ExitStack() as stack:
        files = {
            name: _PixelFile(stack.enter_context((folder / f"{name}.u8").open("wb")), shape)
            for name, shape in _EMPTY_SHAPES.items()
        }
        for part in parts:
            for name, file in files.items():
                file.write(count, part[name])
            count += len(part["images"])
            tables.append({name: array for name, array in part.items() if name not in files})
        for file in files.values():
            file.finish(count)
    columns = join_arrays(tables)
    for name, file in files.items():
        columns[f"{name}_shape"] = np.array((count, *file.shape))
        columns[f"{name}_crc"] = np.uint32(file.checksum)
    return columns


class _PixelFile:
    """Writes the pixels of consecutive images; images without pixels are filled with zeros.

    Attributes:
        shape: shape of one image.
        checksum: CRC-32 of everything before the current position.
    """

    def __init__(self, file: BinaryIO, empty_shape: tuple[int, ...]):
        self.shape, self.checksum = empty_shape, 0
        self._file, self._position = file, 0

    def write(self, row: int, images: np.ndarray) -> None:
        """Writes images from a row of the column on; writes nothing if they have no pixels."""
        if images.size:
            self.shape = images.shape[1:]
            self._skip_to(row * images[0].size)
            images = np.ascontiguousarray(images)
            self._file.write(images)
            self.checksum = zlib.crc32(images, self.checksum)
            self._position += images.size

    def finish(self, count: int) -> None:
        """Gives the file its full length of `count` images."""
        self._skip_to(count * math.prod(self.shape))
        self._file.truncate(self._position)

    def _skip_to(self, position: int) -> None:
        """Leaves a hole in the file, which reads as zeros."""
        while self._position < position:
            step = min(_CHUNK, position - self._position)
            self.checksum = zlib.crc32(bytes(step), self.checksum)
            self._position += step
        self._file.seek(position)
