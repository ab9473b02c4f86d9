"""Which files are images by their suffix, and what is left out of a dataset."""

import collections
import pathlib
from collections.abc import Iterable

from vae_jax.data.image_file import SUFFIXES

_NO_SUFFIX = "without a suffix"


def is_image(name: str) -> bool:
    """Returns whether a file is an image by its suffix."""
    return pathlib.PurePosixPath(name).suffix.lower() in SUFFIXES


def count_suffixes(names: Iterable[str]) -> str:
    """Returns the suffixes of some files with their numbers, the most frequent first: `9 .dcm, 2 .txt`."""
    suffixes = (pathlib.PurePosixPath(name).suffix.lower() or _NO_SUFFIX for name in names)
    counts = collections.Counter(sorted(suffixes)).most_common()
    return ", ".join(f"{count} {suffix}" for suffix, count in counts)
