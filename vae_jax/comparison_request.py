"""What the command line asks of `--mode=compare`: which runs, and where the page goes."""

import dataclasses
import glob
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.errors import UserError

DEFAULT_OUTPUT = "runs/comparison"


@dataclasses.dataclass(frozen=True)
class ComparisonRequest:
    """Which runs to compare, and where the comparison goes.

    Attributes:
        workdirs: workdirs of the runs, each once.
        output: folder of the page and the tables.
    """

    workdirs: tuple[pathlib.Path, ...]
    output: pathlib.Path


def make_comparison_request(
    workdirs: Sequence[str], overrides: Mapping[str, Any], output: str | None
) -> ComparisonRequest:
    """Returns the request of a command.

    Args:
        workdirs: values of `--workdir`: folders, or patterns such as `runs/*` that name folders of runs.
        overrides: `{"group.field": value}` of the fields on the command line.
        output: value of `--output`.

    Raises:
        UserError: if there are fewer than two runs, a pattern names none, a field is overridden, or the
            output is in the workdir of a run.
    """
    for field in overrides:
        raise UserError(
            f"--config.{field} cannot change in --mode=compare, which reads finished runs; evaluate the "
            "run with it first"
        )
    # The same run may be named twice, for example by a folder and by a pattern.
    folders = {path.resolve(): path for text in workdirs for path in _list_folders(text)}
    if len(folders) < 2:
        raise UserError(
            f"--mode=compare needs two or more runs, and {len(folders)} "
            f"{'is' if len(folders) == 1 else 'are'} named; give --workdir=DIR several times, or a pattern "
            "in quotes such as --workdir='runs/*'"
        )
    folder = pathlib.Path(os.path.expanduser(output or DEFAULT_OUTPUT))
    for resolved, path in folders.items():
        if folder.resolve().is_relative_to(resolved):
            raise UserError(
                f"--output={folder} is in --workdir={path}, which contains one run only; choose another "
                "folder"
            )
    return ComparisonRequest(tuple(folders.values()), folder)


def _list_folders(text: str) -> list[pathlib.Path]:
    """Returns the folder that a value of `--workdir` names, or the runs that its pattern names."""
    text = os.path.expanduser(text)
    if not glob.has_magic(text) or os.path.isdir(text):
        return [pathlib.Path(text)]
    paths = [pathlib.Path(name) for name in sorted(glob.glob(text))]
    runs = [path for path in paths if (path / "config.json").is_file()]
    if not runs:
        raise UserError(
            f"--workdir={text} names no run: none of {len(paths)} matching folders has a config.json; "
            "correct the pattern"
        )
    return runs
