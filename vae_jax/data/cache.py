"""Decoded images on disk, beside the records that they come from, so that the second start is quick."""

import contextlib
import logging
import os
import pathlib
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

_log = logging.getLogger(__name__)


def read(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    """Returns the arrays of a cache file, None if there is none or it is damaged (checked by CRC-32)."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        _log.warning("%s is damaged and will be made again (%s)", path, error)
        return None


def write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a cache file, whole or not at all; where that is not possible, goes on without."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            np.savez(file, **arrays)
        os.replace(draft, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        _log.warning("decoded images are not kept for the next start: %s", error)
