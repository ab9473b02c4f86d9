"""Digests of the content of files, remembered between starts so that an unchanged file is read only once.

The digests of one folder are remembered in one index file. It belongs to this program alone, is written
whole or not at all, and starts with a checksum of itself. If it is missing, damaged or cannot be written,
files are read again; the digests are the same.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import pathlib
import stat
import time
from collections.abc import Mapping

from vae_jax.data.regular_file import describe_special, open_file
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.workdir import mark_output

# The folder with the indices of file digests, beside the prepared data.
_DIGEST_FOLDER = "vae_jax_digests"
_CHUNK = 2**20  # bytes that are read at once
# A change within this time after another one may leave the same time stamp.
_SETTLING_NS = 2 * 10**9
# File systems without a change time of their own (FAT, exFAT, packed images, some network shares) report a
# copy of the modification time, which any program can set. They count in steps of at least 10 ms.
_COARSE_STEP_NS = 10**7

_log = logging.getLogger(__name__)

Index = dict[str, "FileRecord"]  # resolved path of a file -> what is remembered of it


@dataclasses.dataclass(frozen=True)
class FileRecord:
    """The digest of a file, and the state of the file when it was read.

    Attributes:
        inode: number of the file in its file system.
        size: size in bytes.
        mtime_ns: time of the last change of the content, nanoseconds.
        ctime_ns: time of the last change of content, name or attributes, nanoseconds; no
            program can set it.
        digest: SHA-256 of the content, hexadecimal.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str

    def describes(self, status: os.stat_result) -> bool:
        """Returns whether a file with this status is the file that was read, unchanged."""
        return _state(status) == (self.inode, self.size, self.mtime_ns, self.ctime_ns)


def locate_index(root: pathlib.Path, dataset: str, manual_dir: str) -> pathlib.Path:
    """Returns the file that remembers the digests of the files in one folder of the user."""
    folder = pathlib.Path(manual_dir).expanduser().resolve()
    key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return root / _DIGEST_FOLDER / f"{dataset}-{key}.json"


def hash_files(files: Mapping[str, pathlib.Path], index_file: pathlib.Path) -> dict[str, str]:
    """Returns the digest of each file's content. Only files that may have changed are read.

    A file that cannot be read, for example a pipe or a link that leads nowhere, gets the reason in place of
    a digest; the preparation of its dataset reports it.

    Args:
        files: name -> file.
        index_file: the file that remembers the digests; it is written if a digest is new.

    Returns:
        Name -> SHA-256 of the content, hexadecimal.
    """
    index = _read_index(index_file)
    digests: dict[str, str] = {}
    records: Index = {}
    unread: dict[str, str] = {}  # name -> resolved path
    resolved_folders: dict[pathlib.Path, str] = {}
    for name, path in files.items():
        try:
            status, resolved = _look_up(path, resolved_folders)
            reason = describe_special(status.st_mode, status.st_size)
        except OSError as error:  # the file has vanished, or is a link that leads nowhere
            reason = error.strerror or type(error).__name__
        if reason:
            digests[name] = f"unreadable: {reason}"
            continue
        record = index.get(resolved)
        if record is not None and record.describes(status):
            digests[name], records[resolved] = record.digest, record
        else:
            unread[name] = resolved
    # Threads are enough, because hashlib releases the interpreter lock while it works.
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        _open_bar(len(unread)) as bar,
    ):
        paths = dict.fromkeys(unread.values())  # several names may lead to one file
        for resolved, (digest, record) in zip(paths, pool.map(_hash_file, paths), strict=True):
            paths[resolved] = digest
            if record is not None:
                records[resolved] = record
            bar.update()
    digests |= {name: paths[resolved] for name, resolved in unread.items()}
    if records != index:
        _write_index(index_file, records)
    return {name: digests[name] for name in files}


def join_digests(digests: Mapping[str, str]) -> str:
    """Returns a short hash of names and contents, from name -> digest of the content."""
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()[:16]


def list_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Returns the names that have appeared or vanished or have another digest, in alphabetical order."""
    names = sorted(before.keys() | after.keys())
    return [name for name in names if before.get(name) != after.get(name)]


def _open_bar(num_files: int) -> contextlib.AbstractContextManager:
    description = "reading files" if num_files else None
    return contextlib.closing(open_progress_bar(num_files, description, "file"))


def _look_up(
    path: pathlib.Path, resolved_folders: dict[pathlib.Path, str]
) -> tuple[os.stat_result, str]:
    """Returns the status of a file and its path without links; resolves each folder only once."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        status, resolved = os.stat(path), os.path.realpath(path)
    else:
        if path.parent not in resolved_folders:
            resolved_folders[path.parent] = os.path.realpath(path.parent)
        resolved = os.path.join(resolved_folders[path.parent], path.name)
    return status, resolved


def _hash_file(path: str) -> tuple[str, FileRecord | None]:
    """Reads a file.

    Returns:
        The digest of its content, or the reason why it cannot be read; and the record to remember. The
        record is None if a later change of the file could leave the same time stamps.
    """
    content = hashlib.sha256()
    try:
        with open_file(path) as file:
            start_ns = time.time_ns()
            before = os.fstat(file.fileno())
            while chunk := file.read(_CHUNK):
                content.update(chunk)
            after = os.fstat(file.fileno())
    except OSError as error:
        return f"unreadable: {error.strerror or type(error).__name__}", None
    except ValueError as error:  # it has become a pipe or a device
        return f"unreadable: {error}", None
    digest = content.hexdigest()
    is_settled = start_ns - before.st_ctime_ns > _SETTLING_NS
    is_fine = before.st_ctime_ns % _COARSE_STEP_NS != 0
    if is_settled and is_fine and _state(before) == _state(after):
        return digest, FileRecord(*_state(before), digest)
    return digest, None


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read_index(path: pathlib.Path) -> Index:
    """Returns the index in a file; empty if there is none or, with a warning, if it is damaged."""
    try:
        checksum, _, text = path.read_text("ascii").partition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != checksum:
            raise ValueError("its checksum differs")
        return {file: FileRecord(*fields) for file, fields in json.loads(text).items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        _log.warning("%s is damaged (%s); the files that it lists are read again", path, error)
        return {}


def _write_index(path: pathlib.Path, records: Index) -> None:
    """Writes a whole index or nothing; logs a warning if it cannot be written."""
    text = json.dumps({file: dataclasses.astuple(record) for file, record in records.items()})
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        mark_output(path.parent)
        draft.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}", "ascii")
        os.replace(draft, path)
    except OSError as error:
        _log.warning(
            "%s cannot be written (%s), so the next start reads all files again",
            path, error.strerror or error,
        )  # fmt: skip
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
