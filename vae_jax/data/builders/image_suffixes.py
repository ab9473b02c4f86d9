"""Which files are images by their suffix, and what is left out of a dataset."""

import collections
import pathlib
from collections.abc import Iterable

from PIL import Image, features

# Formats that Pillow only recognises, or whose files are no pixels: it decodes them with further programs.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
_CODECS = {
    "AVIF": "avif",
    "JPEG2000": "jpg_2000",
    "WEBP": "webp",
}  # format -> part that may be missing
_UNREGISTERED = {".mpo": "JPEG"}  # the reader of JPEG opens the format

_NO_SUFFIX = "without a suffix"


def _list_suffixes() -> frozenset[str]:
    Image.init()
    missing = {name for name, feature in _CODECS.items() if not features.check(feature)}
    readable = set(Image.OPEN) - _NOT_DECODED - missing
    formats = Image.registered_extensions() | _UNREGISTERED
    return frozenset(suffix for suffix, name in formats.items() if name in readable)


# The suffixes, in lower case, of all formats that Pillow decodes here.
SUFFIXES = _list_suffixes()


def is_image(name: str) -> bool:
    """Returns whether a file is an image by its suffix."""
    return pathlib.PurePosixPath(name).suffix.lower() in SUFFIXES


def count_suffixes(names: Iterable[str]) -> str:
    """Returns the suffixes of some files with their numbers, the most frequent first: `9 .dcm, 2 .txt`."""
    suffixes = (pathlib.PurePosixPath(name).suffix.lower() or _NO_SUFFIX for name in names)
    counts = collections.Counter(sorted(suffixes)).most_common()
    return ", ".join(f"{count} {suffix}" for suffix, count in counts)
