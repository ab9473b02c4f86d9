"""Digests of downloads without a published checksum: recorded at the first download, compared later."""

import datetime
import hashlib
import json
import pathlib
from collections.abc import Mapping

from vae_jax.errors import UserError
from vae_jax.workdir import write_text

RECORD = "digests.json"  # in the folder of downloads


def check_digests(folder: pathlib.Path, files: Mapping[str, pathlib.Path]) -> None:
    """Compares downloaded files with the record of their first download; a file without record gets one.

    Args:
        folder: folder of the downloads, which holds the record.
        files: address -> file.

    Raises:
        UserError: if a file has other bytes than at its first download, or the record is damaged.
    """
    path = folder / RECORD
    record = _read_record(path)
    for address, file in files.items():
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        first = record.setdefault(
            address, {"sha256": digest, "date": datetime.date.today().isoformat()}
        )
        if first["sha256"] != digest:
            raise UserError(
                f"{file} is not the file that was first downloaded from {address} on {first['date']} "
                f"(SHA-256 {first['sha256'][:16]}... then, {digest[:16]}... now); delete the file if it is "
                f"damaged, or delete {path} if a new version of it is right"
            )
    text = json.dumps(record, indent=2) + "\n"
    if files and (not path.exists() or path.read_text(encoding="utf-8") != text):
        write_text(path, text)


def _read_record(path: pathlib.Path) -> dict[str, dict[str, str]]:
    """Returns address -> digest and date of its first download; empty if there is no record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {
            address: {"sha256": str(first["sha256"]), "date": str(first["date"])}
            for address, first in record.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged, so downloads cannot be compared with earlier ones; delete it"
        ) from error
