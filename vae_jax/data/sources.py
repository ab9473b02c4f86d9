"""Where the files of a dataset come from: a folder that the user has filled, or the official address."""

import dataclasses
import hashlib
import http.client
import pathlib
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping

import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import checksums

from vae_jax.data.download_digests import check_digests
from vae_jax.errors import UserError

# Together with the imports, a machine without a network then reports the problem within two seconds.
_PROBE_SECONDS = 1.2


@dataclasses.dataclass(frozen=True)
class OfficialSource:
    """The official files of a dataset.

    Attributes:
        address: the address that the name of a file is appended to. If `manual_only`, the address of a
            page for people, or "" if there is none.
        files: name -> (size in bytes, SHA-256), or name -> None if no checksum is published. It is empty if
            the images are the user's own.
        layout: a description of the folder that `data.manual_dir` must name.
        manual_only: whether people must fetch the files themselves, because nothing can be downloaded.
    """

    address: str
    files: Mapping[str, tuple[int, str] | None]
    layout: str
    manual_only: bool = False

    def make_error(self, problem: str) -> UserError:
        """Returns the error for missing files; it says where to get them and where to put them."""
        fetch = f"get {', '.join(self.files)} from {self.address} and " if self.files else ""
        return UserError(f"{problem}; {fetch}point --config.data.manual_dir=DIR at {self.layout}")


def hash_source(official: OfficialSource) -> str:
    """Returns a short hash of the files that would be downloaded."""
    text = f"{official.address}\0{sorted(official.files.items())}"
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def download_files(
    dataset: str, official: OfficialSource, folder: pathlib.Path
) -> dict[str, pathlib.Path]:
    """Downloads the official files with TFDS's download manager, unless the folder already holds them.

    Args:
        dataset: name of the dataset, for messages.
        official: the files and their address.
        folder: where the downloads are stored.

    Returns:
        Official name -> file.

    Raises:
        UserError: if the server does not answer, the download stops early, or a checksum differs. If none
            is published, it is that of the first download.
    """
    urls = {file: official.address + file for file in official.files}
    problem = _find_connection_problem(next(iter(urls.values())))
    if problem:
        raise official.make_error(
            f"{dataset} has not been downloaded, and {official.address} cannot be reached ({problem})"
        )
    url_infos = {
        urls[file]: checksums.UrlInfo(
            size=tfds.core.units.Size(checksum[0]), checksum=checksum[1], filename=file
        )
        for file, checksum in official.files.items()
        if checksum is not None
    }
    try:
        manager = tfds.download.DownloadManager(
            download_dir=folder, url_infos=url_infos, dataset_name=dataset
        )
        downloads = {file: pathlib.Path(path) for file, path in manager.download(urls).items()}
    except tfds.core.download.download_manager.NonMatchingChecksumError as error:
        reason = str(error).splitlines()[0].rstrip(":")
        raise official.make_error(
            f"{dataset}: {reason}, so the download is damaged or the official file has changed"
        ) from error
    except Exception as error:  # the manager passes on any error of requests and of its threads
        if isinstance(error, OSError) and error.filename is not None:
            raise  # a local file, for example on a full disk
        raise official.make_error(
            f"{dataset}: the download stopped early ({_join_lines(error)})"
        ) from error
    unpublished = [file for file, checksum in official.files.items() if checksum is None]
    check_digests(folder, {urls[file]: downloads[file] for file in unpublished})
    return downloads


def _find_connection_problem(url: str) -> str:
    """Returns why nothing can be downloaded from a URL, or "" if it can. Proxies are respected."""
    problem = f"no answer within {_PROBE_SECONDS} s"

    def probe() -> None:
        nonlocal problem
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):
                problem = ""
        except urllib.error.HTTPError as error:
            error.close()
            # A server may refuse HEAD requests only.
            problem = "" if error.code in (405, 501) else f"HTTP status {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            problem = _join_lines(getattr(error, "reason", error))

    # The look-up of a host name has no timeout. A daemon thread does not delay the exit of the process.
    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    return problem


def _join_lines(error: object) -> str:
    """Returns the text of an error as one line, or its type if it has no text."""
    return " ".join(str(error).split()) or type(error).__name__
