"""Failures to save or restore a checkpoint, such as a full disk or damage, as one line with the reason."""

import contextlib
import functools
import pathlib
import shutil
import sys
from collections.abc import Iterator

from vae_jax.errors import UserError

# What the messages of TensorStore, which writes the arrays, contain -> the reason.
_SIGNS = {
    "No space left on device": "no space left on device",
    "RESOURCE_EXHAUSTED": "no space left on device, or the quota is used up",
    "quota": "the quota is used up",
    "File too large": "the file is too large",
    "PERMISSION_DENIED": "permission denied",
    "Read-only file system": "read-only file system",
}


def check_writable(directory: pathlib.Path) -> None:
    """Raises OSError if no file can be written; Orbax would keep the process waiting for minutes."""
    probe = directory / ".writable"
    try:
        probe.mkdir(exist_ok=True)
        (probe / "file").write_bytes(bytes(4096))
    finally:
        shutil.rmtree(probe, ignore_errors=True)


@contextlib.contextmanager
def explain_failures(directory: pathlib.Path) -> Iterator[None]:
    """Turns whatever Orbax raises while it saves, now or in the background, into one line.

    Args:
        directory: folder of the checkpoints.

    Raises:
        UserError: if the `with` block raises anything; the message names the folder and the reason.
    """
    ignore_orphaned_reads()  # writes are orphaned likewise
    try:
        yield
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        for sign, meaning in _SIGNS.items():
            if sign in reason:
                reason = meaning
        raise UserError(
            f"a checkpoint cannot be saved in {directory} ({reason[:200]}); the last whole "
            "checkpoint stays, and the same command continues from it when this is corrected"
        ) from error


def make_damage_error(folder: pathlib.Path, reason: str) -> UserError:
    """Returns the error for a checkpoint that cannot be restored.

    Args:
        folder: folder of the checkpoint.
        reason: what is wrong with it.
    """
    return UserError(
        f"checkpoint {folder} is damaged, or of another version of vae_jax ({reason}); restore it from a "
        "copy, let --mode=train continue from the newest whole checkpoint, or train into another --workdir"
    )


@functools.cache
def ignore_orphaned_reads() -> None:
    """Suppresses messages of reads or writes that still run when another one of a checkpoint has failed.

    Orbax closes their event loop. Each of them then prints a traceback, after the error itself
    was reported.
    """
    previous_hook = sys.unraisablehook

    def hook(event):
        if "Event loop is closed" not in str(event.exc_value):
            previous_hook(event)

    sys.unraisablehook = hook
