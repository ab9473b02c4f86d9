"""What the command line asks of `--mode=evaluate --input=DIR`: labelled new images, judged by a run."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.errors import UserError
from vae_jax.validate import DECISION_FIELDS

EVALUATIONS = "evaluations"  # folder in the workdir

# Fields that say how the images are labelled and reported; they change nothing that was fitted.
_FIELDS = (
    "data.normal_classes",
    "data.anomaly_classes",
    "data.mask_values",
    "data.mask_like_images",
    "data.cache",
    "scoring.bootstrap_resamples",
    "report.cases",
    *(f"scoring.{field}" for field in DECISION_FIELDS),
)


@dataclasses.dataclass(frozen=True)
class EvaluationRequest:
    """Which images to judge, by which run, and where the results go.

    Attributes:
        workdir: workdir of the run.
        folder: folder of the images.
        name: name of the evaluation.
        fields: `{"group.field": value}` of the fields that differ from the run.
    """

    workdir: pathlib.Path
    folder: pathlib.Path
    name: str
    fields: dict[str, Any]

    @property
    def output(self) -> pathlib.Path:
        """The folder of the results."""
        return self.workdir / EVALUATIONS / self.name


def make_evaluation_request(
    workdir: pathlib.Path, overrides: Mapping[str, Any], inputs: Sequence[str], name: str | None
) -> EvaluationRequest:
    """Returns the request of a command.

    Args:
        workdir: workdir of the run.
        overrides: `{"group.field": value}` of the fields on the command line.
        inputs: values of `--input`.
        name: value of `--name`; None stands for the name of the folder.

    Raises:
        UserError: if there are several inputs, the folder is in the workdir, the name is not that of a
            folder, or a field changes what was fitted.
    """
    if len(inputs) != 1:
        raise UserError(
            f"--mode=evaluate takes one --input, a folder with one folder per class, and {len(inputs)} are "
            "given; evaluate them one after the other"
        )
    folder = pathlib.Path(os.path.expanduser(inputs[0]))
    if folder.resolve().is_relative_to(workdir.resolve()):
        raise UserError(
            f"--input={folder} is in --workdir={workdir}, which contains only what this program writes; "
            "name a folder of images"
        )
    for field in overrides:
        if field not in _FIELDS:
            raise UserError(
                f"--config.{field} cannot change in --mode=evaluate with --input, because the detector is "
                f"fitted; valid: {', '.join(_FIELDS)}"
            )
    name = folder.resolve().name if name is None else name
    if not name or name in (".", "..") or "/" in name or os.sep in name or not name.isprintable():
        raise UserError(
            f"{name!r} cannot be the name of an evaluation; choose one with --name=NAME, without slashes"
        )
    return EvaluationRequest(workdir, folder, name, dict(overrides))
