"""Unpacks archives and compressed files, up to a number of bytes that is known beforehand."""

import contextlib
import gzip
import os
import pathlib
import shutil
import zipfile
import zlib

from vae_jax.data.regular_file import open_file
from vae_jax.errors import UserError
from vae_jax.runtime.progress import open_progress_bar
from vae_jax.runtime.zip_files import check_members

# Encoded images hardly become smaller in an archive, so it unpacks to little more than its own size.
MAX_RATIO = 4
MIN_LIMIT = 2**30  # bytes that any archive may unpack to
_GZIP_MAGIC = b"\x1f\x8b"


def unpack_zip(archive: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Unpacks an archive completely or not at all. TFDS's own function needs TensorFlow.

    Args:
        archive: a zip file.
        folder: the folder that receives its content. If it exists, nothing is unpacked.

    Returns:
        `folder`.

    Raises:
        UserError: if the archive is damaged, or unpacks to more than MAX_RATIO times its size and
            MIN_LIMIT bytes. Archives inside it are not unpacked.
    """
    if folder.is_dir():
        return folder
    draft = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(archive) as zipped:
            size = archive.stat().st_size
            check_members(zipped, size, max(MIN_LIMIT, MAX_RATIO * size))
            members = zipped.infolist()
            with contextlib.closing(open_progress_bar(len(members), "unpacking", "file")) as bar:
                for member in members:
                    zipped.extract(member, draft)
                    bar.update()
        os.replace(draft, folder)
    except (zipfile.BadZipFile, EOFError, zlib.error, ValueError) as error:
        raise UserError(
            f"{archive} is damaged or no archive of images ({error}); delete it and start again"
        ) from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown compression
        raise UserError(
            f"{archive} cannot be unpacked ({error}); delete it and start again"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def read_start(path: pathlib.Path, num_bytes: int) -> bytes:
    """Returns the first bytes of a file, which may be compressed with gzip.

    Args:
        path: the file.
        num_bytes: number of bytes that are unpacked at most. If the file has fewer, all of it is
            returned, and the checksum at its end has been checked.

    Raises:
        ValueError: if the file is damaged, or is a pipe or a device.
    """
    with open_file(path) as file:
        packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        if not packed:
            return file.read(num_bytes)
        try:
            with gzip.open(file) as unpacked:
                return unpacked.read(num_bytes)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(str(error)) from error
