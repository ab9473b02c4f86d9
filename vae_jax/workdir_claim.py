"""Claims a workdir for a config: a run of the same config continues, a run of another one is refused."""

import json
import pathlib

import ml_collections

from vae_jax.config_differences import (
    FREE_FIELDS,
    describe_differences,
    list_differences,
    run_fields,
)
from vae_jax.errors import UserError
from vae_jax.training.break_record import is_broken
from vae_jax.workdir import mark_output, read_config, write_text


def claim_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    """Makes the workdir, or checks that it holds a run of the same config, and writes config.json.

    A larger `train.epochs` continues the run, and so does a lower `train.learning_rate` where training
    broke because a number was not finite. The location of the data does not distinguish runs. A workdir
    holds a run if it has metrics, or a checkpoint of a later step than 0.

    Raises:
        UserError: if the workdir cannot be written, or if it holds a run of another config; the message
            names each field that differs.
    """
    try:
        mark_output(workdir)
        probe = workdir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"--workdir={workdir} cannot be written ({reason}); choose another one, or change its "
            "permissions"
        ) from error
    folder = _find_newest_checkpoint(workdir)
    # Without metrics and checkpoints the run never took a step, so another config may replace it.
    if (workdir / "config.json").exists() and (folder or (workdir / "metrics.jsonl").exists()):
        is_rate_free = is_broken(workdir, int(folder.name) if folder else 0)
        _refuse_other_run(workdir, read_config(workdir), config, is_rate_free)
    elif folder:
        _refuse_other_checkpoint(workdir, folder, config)
    write_text(workdir / "config.json", config.to_json(indent=2, sort_keys=True) + "\n")


def _find_newest_checkpoint(workdir: pathlib.Path) -> pathlib.Path | None:
    """Returns the folder of the newest checkpoint; None if no step was taken before any checkpoint."""
    folder = workdir / "checkpoints"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    step = max((int(name) for name in names if name.isdecimal()), default=0)
    return folder / str(step) if step else None


def _refuse_other_run(
    workdir: pathlib.Path,
    stored: ml_collections.ConfigDict,
    config: ml_collections.ConfigDict,
    is_rate_free: bool,
) -> None:
    stored, new = run_fields(stored), run_fields(config)
    accepted = list(FREE_FIELDS)
    if new["train.epochs"] > stored["train.epochs"]:
        accepted.append("train.epochs")
    if is_rate_free and new["train.learning_rate"] < stored["train.learning_rate"]:
        accepted.append("train.learning_rate")
    stored |= {field: new[field] for field in accepted}
    different = sorted(field for field in new if stored[field] != new[field])
    if not different:
        return
    advice = "choose another --workdir, or use the same values"
    if all(field.startswith(("scoring.", "report.")) for field in different):
        advice = f"run --mode=evaluate to evaluate that run with the new values, {advice}"
    elif different == ["train.learning_rate"] and is_rate_free:
        advice = "training broke there, and goes on with a lower train.learning_rate only"
    raise UserError(
        f"--workdir={workdir} holds a run of another config: "
        f"{describe_differences(stored, new, different)}; {advice}"
    )


def _refuse_other_checkpoint(
    workdir: pathlib.Path, folder: pathlib.Path, config: ml_collections.ConfigDict
) -> None:
    """Compares a config with the newest checkpoint, in a workdir without config.json."""
    path = folder / "config" / "metadata"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        differences = list_differences(stored, config)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        differences = f"{path} is damaged"
    if differences:
        raise UserError(
            f"--workdir={workdir} holds checkpoints, but no config.json, and they are of another config: "
            f"{differences}; choose another --workdir, or use the same values"
        )
