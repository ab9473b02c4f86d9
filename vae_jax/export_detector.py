"""The mode `export`: it writes the detector of a run as one file that other programs run."""

import dataclasses
import pathlib
import zipfile

from vae_jax.detector.artifact import is_artifact, write_artifact
from vae_jax.detector.detector import Detector
from vae_jax.errors import UserError
from vae_jax.programs.exportable import split_names
from vae_jax.programs.stablehlo import export_programs


def run(workdir: pathlib.Path, output: pathlib.Path) -> None:
    """Exports the detector of a run, and names the scores that cannot be exported.

    Args:
        workdir: workdir of the run.
        output: the file to write; an earlier export is replaced, nothing else is.

    Raises:
        UserError: if the run has no detector, the score that decides cannot be exported, or `output` is
            another file.
    """
    _check_output(output)
    detector = Detector.load(workdir)
    names, reasons = split_names(detector.parts)
    for name, reason in reasons.items():
        print(f"not exported: {name}, because {reason}")
    if detector.deciding_score in reasons:
        raise UserError(
            f"the score that decides, {detector.deciding_score}, cannot be exported "
            f"({reasons[detector.deciding_score]}); decide by another one with --mode=evaluate "
            f"--config.scoring.decision=NAME, valid: {', '.join(names) or 'none'}"
        )
    parts = dataclasses.replace(detector.parts, names=tuple(names))
    description, programs = export_programs(parts)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_artifact(output, parts, description | {"not_exported": reasons}, programs)
    size = description["images"]["shape"]
    print(
        f"exported {len(names)} scores and the anomaly map of images of {size[1]}x{size[2]} pixels and "
        f"{size[3]} channels, for {', '.join(description['platforms'])}"
    )
    print(f"\nartifact: {output} ({output.stat().st_size / 2**20:.3g} MiB)")


def _check_output(output: pathlib.Path) -> None:
    if output.is_dir():
        raise UserError(f"--output={output} is a folder; name a file, for example screws.zip")
    if output.exists() and not is_artifact(output):
        kind = "a zip file" if zipfile.is_zipfile(output) else "a file"
        raise UserError(
            f"--output={output} is {kind} that --mode=export has not written; name another one"
        )
