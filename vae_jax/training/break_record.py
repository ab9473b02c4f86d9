"""The record that training broke: a workdir with it accepts a lower learning rate.

This module imports no JAX, so that a config is refused at once.
"""

import json
import pathlib

from vae_jax import workdir as workdir_lib

_FILE = "training_broke.json"


def write_break(workdir: pathlib.Path, step: int, message: str) -> None:
    """Records that training stopped because a number was not finite.

    Args:
        workdir: workdir of the run.
        step: step that broke.
        message: what was not finite, and where.
    """
    content = json.dumps({"step": step, "message": message}, indent=2)
    workdir_lib.write_text(workdir / _FILE, content + "\n")


def is_broken(workdir: pathlib.Path, newest_step: int) -> bool:
    """Returns whether training broke, and there is no checkpoint of a later step yet.

    Args:
        workdir: workdir of the run.
        newest_step: step of the newest checkpoint; 0 without one.
    """
    try:
        record = json.loads((workdir / _FILE).read_bytes())
        return newest_step <= int(record["step"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False
