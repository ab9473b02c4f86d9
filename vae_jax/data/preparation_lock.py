"""One process at a time prepares the data of one source; others wait, and then use what it wrote."""

import contextlib
import logging
import pathlib
import shutil
from collections.abc import Iterator

from vae_jax.runtime.lock import hold_lock

_DRAFTS = "incomplete.*"  # names of the folders in which TFDS writes records

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def lock_preparation(data_path: pathlib.Path) -> Iterator[None]:
    """Waits until no other process prepares the same data, and removes what killed ones left.

    Args:
        data_path: folder of the prepared data; its parent holds nothing else.

    Raises:
        OSError: if the folder cannot be written.
    """
    folder = data_path.parent
    folder.parent.mkdir(parents=True, exist_ok=True)

    def on_wait(owner: str) -> None:
        _log.warning("%s prepares the same data in %s; waiting for it", owner, folder)

    # The lock is beside the folder, because TFDS takes every folder and file in it for a version.
    with hold_lock(folder.with_name(f".{folder.name}.lock"), wait=True, on_wait=on_wait):
        for draft in folder.glob(_DRAFTS):
            shutil.rmtree(draft, ignore_errors=True)
        yield
