"""What a resumed run does with damaged checkpoints: the newest whole one stays the newest."""

import logging
import pathlib
import shutil
from collections.abc import Callable, Sequence

import ml_collections

from vae_jax.config_differences import list_differences
from vae_jax.errors import UserError
from vae_jax.training import checkpoint_files as files_lib
from vae_jax.training.nonfinite import find_nonfinite

log = logging.getLogger(__name__)


def read_newest(
    directory: pathlib.Path,
    config: ml_collections.ConfigDict,
    changeable: Sequence[str],
    read_state: Callable[[int], dict],
) -> dict:
    """Reads the newest checkpoint that is whole and finite; newer ones are renamed, and named in the log.

    Args:
        directory: folder of the checkpoints.
        config: config of the run, which the config in the checkpoint must equal.
        changeable: fields of the config that may differ.
        read_state: step -> the items `state` and `data` of its checkpoint.

    Returns:
        The items; {} if there is no checkpoint of a run that took a step.

    Raises:
        UserError: if no checkpoint can be used, or the newest whole one is of another config.
    """
    remove_damaged(directory)
    steps = files_lib.list_steps(directory)
    errors = []
    unusable = {}  # step -> what is wrong with its checkpoint
    for step in reversed(steps):
        folder = directory / str(step)
        stored = files_lib.read_item(folder, "config") or {}
        differences = list_differences(stored, config, changeable=changeable)
        if differences and step == 0:
            shutil.rmtree(folder)  # the initial state, which follows from the config
            return {}
        if differences:
            raise UserError(
                f"checkpoint {folder} is of another config: {differences}; choose another --workdir, or "
                "use the same values"
            )
        try:
            items = read_state(step)
        except UserError as error:
            errors.append(error)
            unusable[step] = "it cannot be read"
            continue
        path = find_nonfinite(items["state"]["params"])
        if path:
            errors.append(UserError(f"checkpoint {folder}: the parameter {path} is not finite"))
            unusable[step] = f"the parameter {path} is not finite"
            continue
        for broken, reason in unusable.items():
            set_aside(directory / str(broken), reason)
        return items
    if errors:
        raise errors[0]
    return {}


def remove_damaged(directory: pathlib.Path) -> None:
    """Renames damaged checkpoints, if there is a whole one, and names each of them with the reason.

    A damaged checkpoint that is neither the best nor newer than the newest whole one is deleted, because
    nothing needs it. A run that is killed while it deletes an old checkpoint leaves part of it.

    Args:
        directory: folder of the checkpoints.

    Raises:
        UserError: if all checkpoints are damaged.
    """
    steps = files_lib.list_steps(directory)
    damages = {step: files_lib.find_damage(directory / str(step)) for step in steps}
    whole = [step for step in steps if damages[step] is None]
    if steps and not whole:
        reasons = "; ".join(f"{step}: {damages[step]}" for step in reversed(steps))
        raise UserError(
            f"no checkpoint in {directory} is whole ({reasons}); restore this folder from a copy, or "
            "train into another --workdir"
        )
    best = files_lib.read_recorded_best(directory)
    for step in steps:
        folder = directory / str(step)
        if damages[step] is None:
            if not files_lib.has_digests(folder):
                log.warning(
                    "checkpoint %s is from an earlier version and has no digests, so damage to it would "
                    "not be noticed", folder,
                )  # fmt: skip
        elif step < max(whole) and step != best:
            shutil.rmtree(folder)
        else:
            set_aside(folder, damages[step])
    if best is not None and best not in whole and best < max(whole, default=0):
        log.warning(
            "the best checkpoint in %s, step %d, is gone or damaged; the best one of the others and of "
            "those to come takes its place", directory, best,
        )  # fmt: skip


def set_aside(folder: pathlib.Path, reason: str) -> None:
    """Renames the folder of a damaged checkpoint, so that Orbax passes over it, and says so.

    Args:
        folder: folder of the checkpoint.
        reason: what is wrong with it.
    """
    names = (f"damaged-{folder.name}" + (f"-{i}" if i else "") for i in range(1000))
    path = next(path for path in map(folder.with_name, names) if not path.exists())
    folder.rename(path)
    log.warning(
        "checkpoint %s is damaged (%s); it is skipped, and now named %s", folder, reason, path.name
    )
