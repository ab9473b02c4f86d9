"""Zip files of unknown origin: what they may unpack to is limited before anything is unpacked."""

import io
import zipfile
import zlib

import numpy as np

MAX_ARRAY_BYTES = 2**30  # of compressed arrays; arrays that are not compressed may have more
MAX_MEMBERS = 1_000_000


def check_members(archive: zipfile.ZipFile, size: int, limit: int) -> None:
    """Refuses an archive that unpacks to more than a limit, before it is unpacked.

    The sizes are those that the archive declares. Python reads no more of a member than it declares.

    Args:
        archive: the archive.
        size: size of its file in bytes. Members together cannot have more compressed bytes than that,
            unless some of them share the same bytes.
        limit: the largest number of bytes of all members when they are unpacked.

    Raises:
        ValueError: if the archive has too many members, or too large ones, or members that overlap.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"{len(members)} files in it, more than the limit of {MAX_MEMBERS}")
    if sum(member.compress_size for member in members) > size:
        raise ValueError("the files in it overlap, as in no archive of an ordinary program")
    total = sum(member.file_size for member in members)
    if total > limit:
        raise ValueError(f"{total} bytes when unpacked, more than the limit of {limit}")


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Returns the arrays of an .npz file, by name.

    Args:
        content: content of the file.

    Raises:
        ValueError: if the file is damaged, needs Python objects, or unpacks to more than its own size and
            more than MAX_ARRAY_BYTES.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_members(archive, len(content), max(MAX_ARRAY_BYTES, len(content)))
        # NumPy warns of a shape beyond 64 bits before it raises an error.
        with (
            np.errstate(invalid="ignore"),
            np.load(io.BytesIO(content), allow_pickle=False) as file,
        ):
            return {name: file[name] for name in file.files}
    except (zipfile.BadZipFile, EOFError, KeyError, OSError, zlib.error) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    except MemoryError as error:  # the header of an array declares a shape that fits into no memory
        raise ValueError(f"an array in it is too large ({error})") from error
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown compression
        raise ValueError(str(error)) from error
