"""Opens files of the user, but no pipe, socket or device: reading one may block, or never end."""

import os
import pathlib
import stat
from typing import BinaryIO

MAX_BYTES = 2**30  # of a file; a larger one is no image that fits into memory

# Opening a pipe waits for its writer, unless it is opened like this. Windows has one flag of its own only.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def describe_special(mode: int, size: int) -> str:
    """Returns why a file must not be read, or "" for an ordinary file.

    Args:
        mode: `st_mode` of its status.
        size: size in bytes.
    """
    if not stat.S_ISREG(mode):
        return f"{_KINDS.get(stat.S_IFMT(mode), 'a special file')}, not a file"
    if size > MAX_BYTES:
        return f"{size / 2**30:.1f} GiB; the limit is {MAX_BYTES / 2**30:g} GiB"
    return ""


def check_regular(path: pathlib.Path | str) -> None:
    """Checks that a file may be read, before it is opened; raises the errors of `open_file`."""
    status = os.stat(path)
    _check(status.st_mode, status.st_size)


def open_file(path: pathlib.Path | str) -> BinaryIO:
    """Opens a file for reading.

    Raises:
        ValueError: if it is not an ordinary file, or is too large.
        OSError: if it cannot be opened.
    """
    check_regular(path)  # to open a device may already have an effect
    file = os.fdopen(os.open(path, _FLAGS), "rb")
    try:
        status = os.fstat(file.fileno())
        _check(status.st_mode, status.st_size)
    except BaseException:
        file.close()
        raise
    return file


def read_file(path: pathlib.Path | str) -> bytes:
    """Returns the content of a file; raises the errors of `open_file`."""
    with open_file(path) as file:
        return file.read()


def _check(mode: int, size: int) -> None:
    reason = describe_special(mode, size)
    if reason:
        raise ValueError(reason)
