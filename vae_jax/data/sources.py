"""Where a dataset's files come from: a folder that the user filled, or the official address."""

import contextlib
import dataclasses
import hashlib
import http.client
import os
import pathlib
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import checksums

from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar

_PROBE_SECONDS = 1.2  # so that, with the imports, a machine without a network answers within two


@dataclasses.dataclass(frozen=True)
class OfficialSource:
    """The official files of a dataset.

    Attributes:
        address: what each file's name is appended to.
        files: name -> (size in bytes, SHA-256), or None where no checksum is published; none at all where
            the images are the user's own.
        layout: what belongs into `data.manual_dir`, in words.
        manual_only: nothing is downloaded; the address, if there is one, is a page for people.
    """

    address: str
    files: Mapping[str, tuple[int, str] | None]
    layout: str
    manual_only: bool = False

    def make_error(self, problem: str) -> UserError:
        """Returns the error for missing files: the problem, the files, their address, where to put them."""
        get = f"get {', '.join(self.files)} from {self.address} and " if self.files else ""
        return UserError(f"{problem}; {get}point --config.data.manual_dir=DIR at {self.layout}")


def hash_listing(files: Mapping[str, pathlib.Path]) -> str:
    """Returns a short hash of a listing: names, sizes and times of change."""
    digest = hashlib.sha256()
    for name in sorted(files):
        stat = files[name].stat()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:10]


def hash_source(official: OfficialSource) -> str:
    """Returns a short hash of what would be downloaded."""
    listed = f"{official.address}\0{sorted(official.files.items())}"
    return hashlib.sha256(listed.encode()).hexdigest()[:10]


def download_files(
    name: str, official: OfficialSource, folder: pathlib.Path
) -> dict[str, pathlib.Path]:
    """Downloads the official files into `folder` (or finds them there) with TFDS's download manager.

    Returns:
        Official name -> file.

    Raises:
        UserError: if the host does not answer, the download breaks, or a checksum differs.
    """
    urls = {file: official.address + file for file in official.files}
    why = _find_connection_problem(next(iter(urls.values())))
    if why:
        raise official.make_error(
            f"{name} is not there and {official.address} cannot be reached ({why})"
        )
    known = {
        urls[file]: checksums.UrlInfo(size=tfds.core.units.Size(size), checksum=sha, filename=file)
        for file, (size, sha) in ((f, c) for f, c in official.files.items() if c is not None)
    }
    try:
        manager = tfds.download.DownloadManager(
            download_dir=folder, url_infos=known, dataset_name=name
        )
        return {file: pathlib.Path(path) for file, path in manager.download(urls).items()}
    except tfds.core.download.download_manager.NonMatchingChecksumError as error:
        first = str(error).splitlines()[0].rstrip(":")
        raise official.make_error(
            f"{name}: {first}, the download is damaged or was changed"
        ) from error
    except Exception as error:  # the manager passes on whatever requests and its threads raise
        if isinstance(error, OSError) and error.filename is not None:
            raise
        raise official.make_error(f"{name}: the download broke off ({_one_line(error)})") from error


def unpack_zip(archive: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Unpacks an archive, whole or not at all; TFDS's own way needs TensorFlow.

    Raises:
        UserError: if the archive is damaged.
    """
    if folder.is_dir():
        return folder
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = zipped.infolist()
            with contextlib.closing(open_progress_bar(len(members), "unpacking", "file")) as bar:
                for member in members:
                    zipped.extract(member, draft)
                    bar.update()
    except (zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{archive} is damaged ({error}); delete it and start again") from error
    os.replace(draft, folder)
    return folder


def _find_connection_problem(url: str) -> str:
    """Returns why nothing can be downloaded from a URL, "" if it can. Proxies are respected."""
    why = [f"no answer within {_PROBE_SECONDS} s"]

    def probe() -> None:
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
                why[0] = ""
        except urllib.error.HTTPError as error:
            error.close()
            # A server may forbid only the question.
            why[0] = "" if error.code in (405, 501) else f"HTTP status {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            why[0] = _one_line(getattr(error, "reason", error))

    # Looking up a name knows no timeout of its own; a daemon does not hold up the exit.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return why[0]


def _one_line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__
