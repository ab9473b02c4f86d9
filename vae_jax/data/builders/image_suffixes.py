"""Which files are images by their suffix, and what is left out of a dataset."""

import collections
import pathlib
from collections.abc import Iterable

from vae_jax.data import medical
from vae_jax.data.image_file import SUFFIXES

_NO_SUFFIX = "without a suffix"


def is_image(name: str) -> bool:
    """Returns whether a file is an image by its suffix, and Pillow reads it."""
    return pathlib.PurePosixPath(name).suffix.lower() in SUFFIXES


def count_suffixes(names: Iterable[str]) -> str:
    """Returns the suffixes of some files with their numbers, the most frequent first: `9 .bin, 2 .txt`.

    It adds what to install for medical files.
    """
    suffixes = sorted(medical.get_suffix(name) or _NO_SUFFIX for name in names)
    counts = collections.Counter(suffixes).most_common()
    text = ", ".join(f"{count} {suffix}" for suffix, count in counts)
    unread = [
        suffix
        for suffix, _ in counts
        if medical.is_medical(suffix) and not medical.is_readable(suffix)
    ]
    return f"{text} ({medical.INSTALL} reads {' and '.join(unread)})" if unread else text
