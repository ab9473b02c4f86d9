"""What the command line asks of the mode `predict`."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.errors import UserError
from vae_jax.validate import DECISION_FIELDS


@dataclasses.dataclass(frozen=True)
class PredictionRequest:
    """Which images to predict, how, and where to.

    Attributes:
        workdir: workdir of the run.
        inputs: files, folders, patterns or lists of paths; see `detector.sources.list_inputs`.
        output: folder of the predictions.
        decision: fields of the `scoring` group that decide otherwise than the run did.
        overlays: whether to draw each image with its anomaly map.
        maps: whether to write each anomaly map.
    """

    workdir: pathlib.Path
    inputs: tuple[str, ...]
    output: pathlib.Path
    decision: dict[str, Any]
    overlays: bool = False
    maps: bool = False


def make_request(
    workdir: pathlib.Path,
    overrides: Mapping[str, Any],
    inputs: Sequence[str],
    output: str | None,
    overlays: bool,
    maps: bool,
) -> PredictionRequest:
    """Returns the request of a command.

    Args:
        workdir: workdir of the run.
        overrides: `{"group.field": value}` of the fields on the command line.
        inputs: values of `--input`.
        output: value of `--output`.
        overlays: value of `--overlays`.
        maps: value of `--maps`.

    Raises:
        UserError: if a flag is missing, or a field changes more than the decision.
    """
    if not inputs:
        raise UserError(
            "--mode=predict needs --input=PATH: a file, a folder, a pattern or @list.txt"
        )
    if not output:
        raise UserError("--mode=predict needs --output=DIR, a folder for the predictions")
    for field in overrides:
        group, _, name = field.partition(".")
        if group != "scoring" or name not in DECISION_FIELDS:
            raise UserError(
                f"--config.{field} cannot change in --mode=predict, because the detector is fitted; valid: "
                f"{', '.join(f'scoring.{valid}' for valid in DECISION_FIELDS)}"
            )
    decision = {field.partition(".")[2]: value for field, value in overrides.items()}
    folder = pathlib.Path(os.path.expanduser(output))
    return PredictionRequest(workdir, tuple(inputs), folder, decision, overlays, maps)


def refuse_standard_input(inputs: Sequence[str]) -> None:
    """Refuses a list of images that only one of several processes can read.

    Raises:
        UserError: if one of the inputs is standard input.
    """
    if "-" in inputs:
        raise UserError(
            "--input=- is read by one process only; write the list to a file and name it with "
            "--input=@list.txt"
        )


def refuse_flags(
    mode: str, inputs: Sequence[str], output: str | None, overlays: bool, maps: bool
) -> None:
    """Refuses the flags of the mode `predict` in another mode; the mode `evaluate` may have an input.

    Raises:
        UserError: if one of them is given.
    """
    given = {"input": inputs, "output": output, "overlays": overlays, "maps": maps}
    for flag, value in given.items():
        if value:
            raise UserError(f"--{flag} belongs to --mode=predict, but the mode is {mode}")
