"""Frames of medical files, which several threads ask for."""

import contextlib
import pathlib
import threading

from vae_jax.data import medical


def list_frames(file: pathlib.Path, max_pixels: int) -> list[str]:
    """Returns what follows the name of a medical file in the name of each of its frames.

    Raises:
        ValueError: if the file cannot be read.
        OSError: if it cannot be opened.
    """
    if not medical.is_readable(file.name):
        raise ValueError(f"a medical file; to read it: {medical.INSTALL}")
    return medical.read_header(file, max_pixels).suffixes


class FrameReader:
    """Reads the frames of a medical file, in about their order, so that the file is opened once.

    Args:
        file: the file.
        max_pixels: largest number of pixels of a frame that is accepted.
    """

    def __init__(self, file: pathlib.Path, max_pixels: int):
        self._file = file
        self._max_pixels = max_pixels
        self._images = medical.read_images(file, max_pixels)
        self._waiting: dict[int, bytes] = {}  # frames that were read before they are asked for
        self._next = 0
        self._lock = threading.Lock()  # threads ask for frames

    def read(self, frame: int) -> bytes:
        """Returns a frame as an image file."""
        with self._lock:
            # If an earlier frame cannot be read, this one perhaps can.
            with contextlib.suppress(Exception):
                while self._next <= frame:
                    _, self._waiting[self._next] = next(self._images)
                    self._next += 1
            if frame in self._waiting:
                return self._waiting.pop(frame)
        (content,) = medical.read_frames(self._file, [frame], self._max_pixels)
        return content.encoded
