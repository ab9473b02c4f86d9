"""The mode `export`: it writes the detector of a run as one file that other programs run."""

import dataclasses
import pathlib
import zipfile
from collections.abc import Mapping

from vae_jax.detector.artifact import is_artifact, write_artifact
from vae_jax.detector.detector import Detector
from vae_jax.detector.onnx_scorer import is_onnx_model
from vae_jax.errors import UserError
from vae_jax.programs.exportable import check_decision, split_names
from vae_jax.programs.onnx_model import export_onnx
from vae_jax.programs.stablehlo import export_programs
from vae_jax.workdir import write_bytes


def run(workdir: pathlib.Path, output: pathlib.Path, format_name: str = "stablehlo") -> None:
    """Exports the detector of a run, and names the scores that cannot be exported.

    Args:
        workdir: workdir of the run.
        output: the file to write; an earlier export of the same format is replaced, nothing else is.
        format_name: one of `help_text.EXPORT_FORMATS`.

    Raises:
        UserError: if the run has no detector, the score that decides cannot be exported, `output` is
            another file, or the packages of a format are missing.
    """
    if format_name == "onnx":
        _write_onnx(workdir, output)
    else:
        _write_programs(workdir, output)
    print(f"\nartifact: {output} ({output.stat().st_size / 2**20:.3g} MiB)")


def _write_onnx(workdir: pathlib.Path, output: pathlib.Path) -> None:
    if output.is_dir() or (output.exists() and not is_onnx_model(output)):
        raise UserError(
            f"--output={output} is no file that --mode=export --format=onnx has written; name another one"
        )
    parts = Detector.load(workdir).parts
    print("converting to ONNX, which takes from seconds to a few minutes")
    content, names, reasons = export_onnx(parts)
    _print_reasons(reasons)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(output, content)
    framing = parts.preprocessing.framing
    print(
        f"exported {len(names)} scores and the anomaly map of images of {framing.image_size}x"
        f"{framing.image_size} pixels and {framing.channels} channels, for ONNX Runtime"
    )


def _print_reasons(reasons: Mapping[str, str]) -> None:
    for name, reason in reasons.items():
        print(f"not exported: {name}, because {reason}")


def _write_programs(workdir: pathlib.Path, output: pathlib.Path) -> None:
    _check_output(output)
    detector = Detector.load(workdir)
    names, reasons = split_names(detector.parts)
    _print_reasons(reasons)
    check_decision(detector.deciding_score, names, reasons)
    parts = dataclasses.replace(detector.parts, names=tuple(names))
    description, programs = export_programs(parts)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_artifact(output, parts, description | {"not_exported": reasons}, programs)
    size = description["images"]["shape"]
    print(
        f"exported {len(names)} scores and the anomaly map of images of {size[1]}x{size[2]} pixels and "
        f"{size[3]} channels, for {', '.join(description['platforms'])}"
    )


def _check_output(output: pathlib.Path) -> None:
    if output.is_dir():
        raise UserError(f"--output={output} is a folder; name a file, for example screws.zip")
    if output.exists() and not is_artifact(output):
        kind = "a zip file" if zipfile.is_zipfile(output) else "a file"
        raise UserError(
            f"--output={output} is {kind} that --mode=export has not written; name another one"
        )
