"""Images that a detector is given: files, folders, patterns, lists of paths, arrays and images of Pillow.

Every image becomes a source: a name, and the bytes of a file. So all of them are decoded by the code that
decodes training images.

H W image, C channels.
"""

import collections
import dataclasses
import functools
import glob
import io
import itertools
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from vae_jax.data import medical
from vae_jax.data.builders.folder_walk import walk_folder
from vae_jax.data.builders.image_suffixes import SUFFIXES, is_image
from vae_jax.data.regular_file import read_file
from vae_jax.detector.frame_reader import FrameReader, list_frames
from vae_jax.errors import UserError
from vae_jax.runtime.printable import make_printable
from vae_jax.validate import HIGHEST_MAX_PIXELS

_PNG_MODES = ("1", "L", "LA", "I;16", "I", "P", "RGB", "RGBA")


@dataclasses.dataclass(frozen=True)
class Source:
    """One image that has not been read yet.

    Attributes:
        name: path of the file as the user knows it, or a number of the image.
        read: () -> content of the file. It raises any error, whose text says why the image cannot be read.
            None if the image was scored before.
        path: the file; None if the image is in memory.
        is_frame: whether it is a frame of a medical file, whose values have been checked.
    """

    name: str
    read: Callable[[], bytes] | None
    path: pathlib.Path | None = None
    is_frame: bool = False

    @functools.cached_property
    def stamp(self) -> tuple[int, int]:
        """Size (bytes) and time of the last change (ns) of the file when it was first asked for.

        Both are -1 where they are unknown.
        """
        try:
            status = os.stat(self.path)
        except (OSError, TypeError, ValueError):
            return -1, -1
        return status.st_size, status.st_mtime_ns


def list_inputs(
    inputs: Sequence[str],
    max_pixels: int = HIGHEST_MAX_PIXELS,
    passed_over: collections.Counter[str] | None = None,
) -> Iterator[Source]:
    """Yields the sources of the command line, in their order; folders are walked while they are used.

    Args:
        inputs: a file, a folder (its images, in all folders below it), a pattern such as `scans/*.png`,
            `@list.txt` (a file with one path per line), or `-` for such lines on standard input.
        max_pixels: frames of medical files with more pixels are refused.
        passed_over: receives reason -> number of entries of folders that are passed over.

    Raises:
        UserError: if an input does not exist or a folder holds no image.
    """
    for text in inputs:
        if text == "-":
            yield from _list_lines(sys.stdin, "standard input", max_pixels)
        elif text.startswith("@"):
            try:
                with open(
                    os.path.expanduser(text[1:]), encoding="utf-8", errors="surrogateescape"
                ) as file:
                    yield from _list_lines(file, text[1:], max_pixels)
            except OSError as error:
                raise UserError(
                    f"{text}: the list cannot be read ({error.strerror or error}); name a text file "
                    "with one path per line"
                ) from error
        else:
            yield from _list_path(text, max_pixels, passed_over, is_only=len(inputs) == 1)


def list_sources(images: Any, max_pixels: int = HIGHEST_MAX_PIXELS) -> Iterator[Source]:
    """Yields the sources of what a program passes.

    Args:
        images: a path of a file or a folder, a uint8 or uint16 array [H, W], [H, W, C] or, of several
            images, [N, H, W, C], an image of Pillow, or an iterable of any of them.
        max_pixels: frames of medical files with more pixels are refused.

    Raises:
        UserError: if a path does not exist, or an array is no image.
    """
    if isinstance(images, str | os.PathLike):
        yield from _list_path(os.fspath(images), max_pixels)
    elif isinstance(images, Image.Image):
        yield _wrap(images, "image 0")
    elif isinstance(images, np.ndarray):
        if images.ndim == 4:
            yield from (_wrap_array(image, f"image {i}") for i, image in enumerate(images))
        else:
            yield _wrap_array(images, "image 0")
    elif isinstance(images, Iterable):
        for i, image in enumerate(images):
            if isinstance(image, np.ndarray) and image.ndim < 4:
                yield _wrap_array(image, f"image {i}")
            elif isinstance(image, Image.Image):
                yield _wrap(image, f"image {i}")
            elif isinstance(image, str | os.PathLike):
                yield from make_file_sources(os.fspath(image), os.fspath(image), max_pixels)
            else:
                raise UserError(f"image {i} is {_describe(image)}; {_VALID}")
    else:
        raise UserError(f"the images are {_describe(images)}; {_VALID}")


_VALID = "pass paths, images of Pillow, or uint8 arrays [H, W] or [H, W, C]"


def make_file_sources(
    path: str, name: str, max_pixels: int = HIGHEST_MAX_PIXELS
) -> Iterator[Source]:
    """Yields the source of a file, or one for each frame of a medical file.

    Args:
        path: path of the file.
        name: its name in the results; `#` and a number follow where it has frames.
        max_pixels: frames of medical files with more pixels are refused.
    """
    file = pathlib.Path(path)
    if not medical.is_medical(file.name):
        yield Source(name, lambda: _read_file(path), file)
        return
    try:
        suffixes = list_frames(file, max_pixels)
    except Exception as error:  # readers raise any error on damaged files
        yield Source(name, functools.partial(_fail, error), file)
        return
    reader = FrameReader(file, max_pixels)
    for frame, suffix in enumerate(suffixes):
        yield Source(name + suffix, functools.partial(reader.read, frame), file, True)


def _fail(error: Exception) -> bytes:
    raise error


def _read_file(path: str) -> bytes:
    """Reads a file; raises ValueError or OSError with the reason if it cannot be read."""
    try:
        return read_file(path)
    except FileNotFoundError:
        kind = "a link to a file that does not exist" if os.path.islink(path) else "no such file"
        raise ValueError(kind) from None


def _list_path(
    text: str,
    max_pixels: int,
    passed_over: collections.Counter[str] | None = None,
    *,
    is_only: bool = True,
) -> Iterator[Source]:
    """Yields the sources of a file, a folder or a pattern; `is_only` says whether there are no others."""
    path = os.path.expanduser(text)
    if os.path.isdir(path):
        prefix = "" if is_only else f"{text.rstrip('/')}/"
        passed_over = collections.Counter() if passed_over is None else passed_over
        yield from _list_folder(pathlib.Path(path), prefix, max_pixels, passed_over)
    elif os.path.lexists(path):
        yield from make_file_sources(path, text, max_pixels)
    elif glob.has_magic(text):
        matches = iter(sorted(glob.iglob(path, recursive=True)))
        first = next(matches, None)
        if first is None:
            raise UserError(f"{text}: no file matches this pattern; correct the pattern")
        for match in itertools.chain([first], matches):
            if not os.path.isdir(match):
                yield from make_file_sources(match, match, max_pixels)
    else:
        raise UserError(f"{text}: there is no such file or folder; correct the path")


def _list_folder(
    folder: pathlib.Path, prefix: str, max_pixels: int, passed_over: collections.Counter[str]
) -> Iterator[Source]:
    """Yields the images of a folder, named by a prefix and their paths below it."""
    is_empty = True
    for visited in walk_folder(folder, passed_over=passed_over):
        for file in visited.files:
            if not (is_image(file) or medical.is_medical(file)):
                suffix = pathlib.PurePath(file).suffix.lower()
                passed_over[f"no image ({make_printable(suffix) or 'without a suffix'})"] += 1
                continue
            is_empty = False
            path = visited.path / file
            name = prefix + path.relative_to(folder).as_posix()
            yield from make_file_sources(str(path), name, max_pixels)
    if is_empty:
        raise UserError(f"{folder} holds no image; valid suffixes: {', '.join(sorted(SUFFIXES))}")


def _list_lines(lines: Iterable[str], source: str, max_pixels: int) -> Iterator[Source]:
    is_empty = True
    for line in lines:
        path = line.rstrip("\r\n")
        if path:
            is_empty = False
            yield from make_file_sources(os.path.expanduser(path), path, max_pixels)
    if is_empty:
        raise UserError(f"{source} names no file; write one path per line")


def _wrap_array(array: np.ndarray, name: str) -> Source:
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3) or 0 in array.shape:
        raise UserError(f"{name} is {_describe(array)}; {_VALID}")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 3 and (array.shape[2] not in (3, 4) or array.dtype != np.uint8):
        raise UserError(f"{name} is {_describe(array)}; {_VALID}")
    return _wrap(Image.fromarray(array), name)


def _wrap(image: Image.Image, name: str) -> Source:
    def encode() -> bytes:
        stream = io.BytesIO()
        image.save(stream, "PNG" if image.mode in _PNG_MODES else "TIFF")
        return stream.getvalue()

    return Source(name, encode)


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {list(value.shape)}"
    return f"a {type(value).__name__}"
