"""Walks a folder of the user; it passes over leftovers of file systems and output of this program."""

import collections
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from vae_jax.errors import UserError
from vae_jax.workdir import MARKER_FILE

# Names, in lower case, of what file systems, file managers and network drives leave behind.
_LEFTOVERS = {
    "@eadir", "#recycle", "@recycle", "#snapshot", "@recently-snapshot",
    "$recycle.bin", "system volume information", "found.000", "lost+found", "network trash folder",
    ".ds_store", ".thumbnails", "__macosx",
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r",
}  # fmt: skip
_RESOURCE_FORKS = "._*"  # files that macOS writes beside each file on other file systems
_HIDDEN = "hidden"
_OUTPUT = "output of this program"
_VISITED = "links to folders that are visited anyway"

_log = logging.getLogger(__name__)


class VisitedFolder(NamedTuple):
    """A folder of a walk.

    Attributes:
        path: the folder.
        files: names of its files, in alphabetical order.
        is_empty: whether it holds nothing, or nothing but leftovers of file systems.
    """

    path: pathlib.Path
    files: list[str]
    is_empty: bool


def walk_folder(
    folder: pathlib.Path,
    max_depth: int | None = None,
    passed_over: collections.Counter[str] | None = None,
) -> Iterator[VisitedFolder]:
    """Yields every folder, with the names of its files, in alphabetical order; `folder` itself is first.

    Hidden entries, leftovers of file systems and folders that this program has written are passed over, and
    one line of the log counts them. A link to a folder is followed, unless its folder is visited anyway.

    Args:
        folder: the folder where the walk starts.
        max_depth: levels of folders below it that are visited; None visits all.
        passed_over: receives kind of entry -> number of entries that were passed over.

    Raises:
        UserError: if a folder cannot be read, or this program has written `folder` itself.
    """
    walk = _Walk(folder, max_depth)
    yield from walk.visit(folder, 0)
    if passed_over is not None:
        passed_over.update(walk.passed_over)
    if walk.passed_over:
        counts = ", ".join(f"{kind}: {count}" for kind, count in sorted(walk.passed_over.items()))
        _log.info("%s: passed over %d entries (%s)", folder, walk.passed_over.total(), counts)


class _Walk:
    """One walk.

    Attributes:
        passed_over: kind of entry -> number of entries that were not visited.
    """

    def __init__(self, root: pathlib.Path, max_depth: int | None):
        self.passed_over: collections.Counter[str] = collections.Counter()
        self._root = root
        self._max_depth = max_depth
        self._visited: set[str] = set()  # real paths
        # Real paths to which a link must not lead: folders that are visited without a link, because they
        # keep their own names, and folders that contain the root.
        self._reserved: set[str] | None = None

    def visit(self, folder: pathlib.Path, depth: int) -> Iterator[VisitedFolder]:
        """Yields a folder and all folders below it."""
        self._visited.add(os.path.realpath(folder))
        files, folders, num_hidden = [], [], 0
        entries = _scan(folder)
        if any(entry.name == MARKER_FILE for entry in entries):
            if depth == 0:
                raise UserError(
                    f"{folder} was written by this program (it contains {MARKER_FILE}), so its files are "
                    "not input; name another folder, or remove that file if it is there by mistake"
                )
            self.passed_over[_OUTPUT] += 1
            return
        for entry in entries:
            is_folder = _is_folder(entry)
            kind = _classify_leftover(entry.name, is_folder)
            if kind:
                self.passed_over[kind] += 1
                num_hidden += kind == _HIDDEN
            elif is_folder:
                folders.append(entry)
            else:
                files.append(entry.name)
        yield VisitedFolder(folder, files, not (files or folders or num_hidden))
        if self._max_depth is not None and depth >= self._max_depth:
            return
        for entry in folders:
            if self._is_visited_anyway(entry):
                self.passed_over[_VISITED] += 1
            else:
                yield from self.visit(folder / entry.name, depth + 1)

    def _is_visited_anyway(self, entry: os.DirEntry) -> bool:
        real_path = os.path.realpath(entry.path)
        if not entry.is_symlink():
            return real_path in self._visited
        if self._reserved is None:
            self._reserved = {str(parent) for parent in pathlib.Path(self._root).resolve().parents}
            self._reserved.update(_list_without_links(self._root))
        if real_path in self._visited or real_path in self._reserved:
            return True
        self._reserved.update(_list_without_links(pathlib.Path(real_path)))
        return False


def _scan(folder: pathlib.Path) -> list[os.DirEntry]:
    """Returns the entries of a folder in alphabetical order.

    Raises:
        UserError: if the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _make_error(folder, error) from error


def _list_without_links(folder: pathlib.Path) -> Iterator[str]:
    """Yields the real paths of the folders that a walk visits if it follows no link."""
    entries = _scan(folder)
    if any(entry.name == MARKER_FILE for entry in entries):
        return
    yield os.path.realpath(folder)
    for entry in entries:
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and not _classify_leftover(entry.name, is_folder):
            yield from _list_without_links(folder / entry.name)


def _is_folder(entry: os.DirEntry) -> bool:
    """Returns whether an entry is a folder or a link to one; a broken link is not."""
    try:
        return entry.is_dir()
    except PermissionError as error:
        raise _make_error(entry.path, error) from error
    except OSError:  # a link to itself
        return False


def _make_error(folder: str | pathlib.Path, error: OSError) -> UserError:
    return UserError(
        f"{folder} cannot be read ({error.strerror or error}); change its permissions, or move it out of "
        "the data folder"
    )


def _classify_leftover(name: str, is_folder: bool) -> str:
    """Returns the kind of a leftover, or "" for an entry that may belong to the data."""
    if name.lower() in _LEFTOVERS:
        return name.strip()
    if name.startswith("._") and not is_folder:
        return _RESOURCE_FORKS
    return _HIDDEN if name.startswith(".") or (is_folder and name.startswith("__")) else ""
