"""The files of checkpoints: digests that show damage, and which of the checkpoints was the best.

A checkpoint is a folder whose name is its step. The file `digests.json` in it holds the SHA-256 digest of
every file that Orbax wrote. It is written before the folder gets its final name, so a finished checkpoint
never lacks it. The file `best.json` beside the checkpoints says which steps were the newest and the best
one. Without it, nobody would notice that the best checkpoint is gone, because the best of the others would
take its place.
"""

import asyncio
import hashlib
import json
import pathlib
from typing import Any

import orbax.checkpoint as ocp

from vae_jax import workdir as workdir_lib
from vae_jax.errors import UserError

# Key of the distortion in the metrics of a checkpoint. Its name dates from before the loss had a spectral
# term, when the distortion was the reconstruction term; it stays, because existing checkpoints contain it.
DISTORTION_KEY = "reconstruction"

_DIGESTS = "digests.json"
_RECORD = "best.json"
# Small files of a checkpoint, which a reader needs before it reads any array.
SMALL_ITEMS = ("config", "data", "metrics")
# Orbax writes these files after the digests; nothing is read from them.
_WRITTEN_LAST = ("_CHECKPOINT_METADATA", "commit_success.txt", _DIGESTS)


def list_steps(directory: pathlib.Path) -> list[int]:
    """Returns the steps of the checkpoints in a folder, in ascending order."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal())


def read_item(folder: pathlib.Path, item: str) -> dict[str, Any] | None:
    """Returns a JSON item of a checkpoint; None if it is missing or damaged.

    Args:
        folder: folder of the checkpoint.
        item: one of SMALL_ITEMS.
    """
    try:
        content = json.loads((folder / item / _item_file(item)).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _item_file(item: str) -> str:
    return "metrics" if item == "metrics" else "metadata"


def hash_files(folder: pathlib.Path) -> dict[str, str]:
    """Returns the name of each file in a checkpoint -> its SHA-256 digest, in hexadecimal."""
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    return {name: _hash_file(folder / name) for name in names if name not in _WRITTEN_LAST}


def _hash_file(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_digests(folder: pathlib.Path) -> bool:
    """Returns whether a checkpoint has digests; earlier versions wrote none."""
    return (folder / _DIGESTS).exists()


def find_damage(folder: pathlib.Path, small_items_only: bool = False) -> str | None:
    """Returns what is wrong with the files of a checkpoint, in one line; None if nothing is.

    Args:
        folder: folder of the checkpoint.
        small_items_only: whether the arrays are left out, which are most of the bytes.
    """
    try:
        if has_digests(folder):
            return _compare_digests(folder, small_items_only)
    except OSError as error:
        return f"{error.filename or folder}: {error.strerror or error}"
    for item in SMALL_ITEMS:
        if (folder / item).exists() and read_item(folder, item) is None:
            return f"{item}/{_item_file(item)} is not valid JSON"
    return None


def _compare_digests(folder: pathlib.Path, small_items_only: bool) -> str | None:
    try:
        digests = json.loads((folder / _DIGESTS).read_bytes())
        is_whole = bool(digests) and all(isinstance(value, str) for value in digests.values())
    except (AttributeError, ValueError, RecursionError):
        is_whole = False
    if not is_whole:
        return f"{_DIGESTS} is damaged"
    for name, digest in digests.items():
        if small_items_only and name.partition("/")[0] not in SMALL_ITEMS:
            continue
        if not (folder / name).is_file():
            return f"{name} is missing"
        if _hash_file(folder / name) != digest:
            return f"{name} has changed since it was written"
    return None


class DigestedPath(ocp.path.atomicity.AtomicRenameTemporaryPath):
    """The temporary folder of a checkpoint, which gets its digests before it gets its final name.

    Orbax calls `finalize` in the background, so digests cost the training loop nothing.
    """

    async def finalize(self, *args, **kwargs) -> None:
        """Writes the digests, renames the folder, and updates `best.json`."""
        folder, final = pathlib.Path(self.get()), pathlib.Path(self.get_final())
        if not final.name.isdecimal():  # an item of a checkpoint
            await super().finalize(*args, **kwargs)
            return
        await asyncio.to_thread(_write_digests, folder)
        await super().finalize(*args, **kwargs)
        await asyncio.to_thread(write_record, final.parent)


def _write_digests(folder: pathlib.Path) -> None:
    content = json.dumps(hash_files(folder), indent=0).encode()
    workdir_lib.write_bytes(folder / _DIGESTS, content)


def write_record(directory: pathlib.Path) -> None:
    """Writes to `best.json` which of the present checkpoints is the newest and which one is the best."""
    steps = list_steps(directory)
    record = {
        "newest_step": max(steps),
        "best_distortion": _pick_best(_read_metrics(directory, steps)),
    }
    workdir_lib.write_bytes(directory / _RECORD, json.dumps(record).encode())


def _read_metrics(directory: pathlib.Path, steps: list[int]) -> dict[int, float]:
    """Returns the distortion of each checkpoint that has one."""
    items = {step: read_item(directory / str(step), "metrics") for step in steps}
    return {step: float(item[DISTORTION_KEY]) for step, item in items.items() if item}


def _pick_best(distortions: dict[int, float]) -> dict[int, float]:
    """Returns the step with the lowest distortion, the latest one of equals, as Orbax does."""
    best = min(distortions, key=lambda step: (distortions[step], -step), default=None)
    return {} if best is None else {best: distortions[best]}


def read_best_step(directory: pathlib.Path) -> int | None:
    """Returns the step that was the best of all that were saved; None if no saved state was validated.

    The checkpoint of this step may be damaged or gone.

    Raises:
        UserError: if a damaged file leaves open which step is the best one.
    """
    newest, distortions = _read_record(directory / _RECORD)
    # A run that was killed between a checkpoint and the record of it left a newer checkpoint.
    newer = [step for step in list_steps(directory) if step > newest]
    for step in newer:
        damage = find_damage(directory / str(step), small_items_only=True)
        if damage:
            raise UserError(
                f"checkpoint {directory / str(step)} is damaged ({damage}), so the best checkpoint is not "
                "known; --mode=train continues from the newest whole one"
            )
    return next(iter(_pick_best(distortions | _read_metrics(directory, newer))), None)


def read_recorded_best(directory: pathlib.Path) -> int | None:
    """Returns the best step according to `best.json`; None if it names none or is damaged."""
    try:
        return next(iter(_read_record(directory / _RECORD)[1]), None)
    except UserError:
        return None


def _read_record(path: pathlib.Path) -> tuple[int, dict[int, float]]:
    """Returns the newest step, and the best one with its distortion; (-1, {}) without the file."""
    try:
        record = json.loads(path.read_bytes())
        distortions = {int(step): float(value) for step, value in record["best_distortion"].items()}
        return int(record["newest_step"]), distortions
    except FileNotFoundError:
        return -1, {}
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise UserError(
            f"{path} is damaged, so the best checkpoint is not known; delete this file to use the best "
            "one of those that are left"
        ) from None
