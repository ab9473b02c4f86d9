"""Image files that are damaged, unusual or no files at all, one function per kind.

Each function writes one file into a folder and returns its path. `rng` decides everything, so the same seed
gives the same files.
"""

import collections
import os
import pathlib
import socket
import zlib
from collections.abc import Callable

import numpy as np
from pictures import (
    ACTIONS,
    FORMATS,
    PNG_START,
    declare_size,
    draw_file,
    encode,
    make_deep,
    make_frames,
    make_picture,
    make_png,
    make_text_bomb,
    turn,
)

Write = Callable[[np.random.Generator, pathlib.Path, str], pathlib.Path]


def _mutate(mutation: str, name: str) -> Write:
    """Returns a function that writes a damaged picture of one format."""

    def write(rng: np.random.Generator, folder: pathlib.Path, stem: str) -> pathlib.Path:
        return _save(
            folder,
            stem + FORMATS[name][0],
            ACTIONS[mutation](rng, draw_file(rng, name)),
        )

    return write


def _save(folder: pathlib.Path, name: str, content: bytes) -> pathlib.Path:
    (folder / name).write_bytes(content)
    return folder / name


def _content(make: Callable[[np.random.Generator], bytes], suffix: str = ".png") -> Write:
    return lambda rng, folder, stem: _save(folder, stem + suffix, make(rng))


def _name(pattern: bytes) -> Write:
    """Returns a function that writes a sound picture under a name of unusual bytes."""

    def write(rng: np.random.Generator, folder: pathlib.Path, stem: str) -> pathlib.Path:
        return _save(
            folder,
            os.fsdecode(pattern.replace(b"*", stem.encode())),
            encode(make_picture(rng)),
        )

    return write


def _special(make: Callable[[pathlib.Path], None]) -> Write:
    def write(rng: np.random.Generator, folder: pathlib.Path, stem: str) -> pathlib.Path:
        del rng
        make(folder / f"{stem}.png")
        return folder / f"{stem}.png"

    return write


def _make_socket(path: pathlib.Path) -> None:
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)  # the address of a socket has at most 107 bytes
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)


def _make_link_to_pipe(path: pathlib.Path) -> None:
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe").name)


def _make_sparse(path: pathlib.Path) -> None:
    with path.open("wb") as file:
        file.write(PNG_START)
        file.truncate(2**35)


# Kinds that are not pictures, or whose reading must be refused.
_NO_PICTURES = {
    "empty": _content(lambda rng: b""),
    "zeros": _content(lambda rng: bytes(int(rng.integers(1, 9000)))),
    "random bytes": _content(lambda rng: rng.bytes(int(rng.integers(1, 9000))), ".jpg"),
    "text": _content(lambda rng: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
    "web page": _content(lambda rng: b"<!DOCTYPE html><title>404 Not Found</title>", ".jpg"),
    "vector graphics": _content(lambda rng: b"<svg xmlns='http://www.w3.org/2000/svg'></svg>"),
    "zip": _content(lambda rng: b"PK\x03\x04" + rng.bytes(500)),
    "pdf": _content(lambda rng: b"%PDF-1.4\n" + rng.bytes(500), ".tif"),
    "size of gif": _content(declare_size("GIF"), ".gif"),
    "size of bmp": _content(declare_size("BMP"), ".bmp"),
    "size of jpeg": _content(declare_size("JPEG"), ".jpg"),
    "size of ppm": _content(declare_size("PPM"), ".ppm"),
    "size of tiff": _content(declare_size("TIFF"), ".tif"),
    "size of png": _content(lambda rng: make_png(60_000, 60_000, pixels=zlib.compress(bytes(99)))),
    "text bomb": _content(make_text_bomb),
    "png of 140 megapixels": _content(lambda rng: make_png(14_000, 10_000)),
    "png bomb": _content(lambda rng: make_png(20_000, 20_000)),
    "lab": _content(lambda rng: encode(make_picture(rng, "LAB"), "TIFF"), ".tif"),
    "float": _content(lambda rng: make_deep(rng, "TIFF", np.float32), ".tif"),
    "pipe": _special(os.mkfifo),
    "socket": _special(_make_socket),
    "link to zero": _special(lambda path: path.symlink_to("/dev/zero")),
    "link to terminal": _special(lambda path: path.symlink_to("/dev/tty")),
    "link to pipe": _special(_make_link_to_pipe),
    "dangling link": _special(lambda path: path.symlink_to("nothing.png")),
    "loop of links": _special(lambda path: path.symlink_to(path.name)),
    "sparse file of 32 GiB": _special(_make_sparse),
}  # fmt: skip
# Unusual pictures, which are read.
_SOUND = {
    "png of 90 megapixels": _content(lambda rng: make_png(10_000, 9_000)),
    "png as jpg": _content(lambda rng: encode(make_picture(rng)), ".jpg"),
    "jpg as png": _content(lambda rng: encode(make_picture(rng), "JPEG")),
    "tiff as bmp": _content(lambda rng: encode(make_picture(rng), "TIFF"), ".bmp"),
    "palette": _content(lambda rng: encode(make_picture(rng, "P"))),
    "transparent palette": _content(lambda rng: encode(make_picture(rng, "P"), transparency=b"\0\x80")),
    "one bit": _content(lambda rng: encode(make_picture(rng, "1"))),
    "grey with alpha": _content(lambda rng: encode(make_picture(rng, "LA"))),
    "colour with alpha": _content(lambda rng: encode(make_picture(rng, "RGBA"))),
    "cmyk jpeg": _content(lambda rng: encode(make_picture(rng, "CMYK"), "JPEG"), ".jpg"),
    "cmyk tiff": _content(lambda rng: encode(make_picture(rng, "CMYK"), "TIFF"), ".tif"),
    "ycbcr tiff": _content(lambda rng: encode(make_picture(rng, "YCbCr"), "TIFF"), ".tif"),
    "16 bits png": _content(lambda rng: make_deep(rng, "PNG", np.uint16)),
    "16 bits tiff": _content(lambda rng: make_deep(rng, "TIFF", np.uint16), ".tif"),
    "32 bits tiff": _content(lambda rng: make_deep(rng, "TIFF", np.int32), ".tif"),
    "animated gif": _content(lambda rng: make_frames(rng, "GIF", 5), ".gif"),
    "animated png": _content(lambda rng: make_frames(rng, "PNG", 3)),
    "animated webp": _content(lambda rng: make_frames(rng, "WEBP", 3), ".webp"),
    "pages of tiff": _content(lambda rng: make_frames(rng, "TIFF", 4), ".tif"),
    "turned jpeg": _content(lambda rng: turn(rng, "JPEG"), ".jpg"),
    "turned tiff": _content(lambda rng: turn(rng, "TIFF"), ".tif"),
    "one pixel": _content(lambda rng: encode(make_picture(rng, side=1))),
    "one row": _content(lambda rng: encode(make_picture(rng).resize((20_000, 1)))),
    "name not UTF-8": _name(b"\xff\xfe*\xe9.png"),
    "name with newline": _name(b"a\nb*.png"),
    "name with escape": _name(b"\x1b[31m*\x1b[0m\x07.png"),
    "name right to left": _name("\u202egnp.*.png".encode()),
    "name with markup": _name(b"<img src=x onerror=alert(1)>$*$, \"q' %s {0}.png"),
    "name like a flag": _name(b"--help*.png"),
    "name of 250 bytes": _name(b"n" * 230 + b"*.png"),
    "name with tab and spaces": _name(b" \t * .PNG"),
    "name in other scripts": _name("\u00e9e\u0301\u65e5\u672c\U0001f600*.png".encode()),
}  # fmt: skip

# Kind -> function that writes a file of this kind.
KINDS: dict[str, Write] = {
    f"{mutation} {name}": _mutate(mutation, name) for mutation in ACTIONS for name in FORMATS
} | _NO_PICTURES | _SOUND  # fmt: skip
MUST_BE_REFUSED = frozenset(_NO_PICTURES)
MUST_BE_READ = frozenset(_SOUND)
# One picture of such a kind takes a second or more, so few of them are drawn.
_SPECIAL = (
    "pipe", "socket", "link to zero", "link to terminal", "link to pipe", "dangling link",
    "loop of links",
)  # fmt: skip
SLOW = frozenset(
    {
        "png bomb",
        "png of 90 megapixels",
        "png of 140 megapixels",
        "text bomb",
        "sparse file of 32 GiB",
    }
)


def name_group(kind: str) -> str:
    """Returns the row of a table that a kind belongs to."""
    if kind.startswith("name"):
        return "unusual names"
    if kind in _SPECIAL:
        return "special files"
    if "size" in kind or "bomb" in kind or kind in SLOW:
        return "bombs and huge files"
    return "no pictures" if kind in _NO_PICTURES else "unusual pictures"


def draw_kinds(num_files: int) -> list[str]:
    """Returns the kind of each file: each kind once, slow kinds at most thrice, the others in turn."""
    counts = collections.Counter()
    kinds = []
    while len(kinds) < num_files:
        for kind in KINDS:
            if len(kinds) < num_files and (kind not in SLOW or counts[kind] < 3):
                counts[kind] += 1
                kinds.append(kind)
    return kinds
