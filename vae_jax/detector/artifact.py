"""An exported detector: one zip file with a detector and its scores as programs for any machine with JAX.

The file holds the two files of a detector, see `storage`; `programs.json`, which a program without this
package reads; and the programs as StableHLO, in the container of `jax.export`:

- `score.stablehlo`: (arrays, images, index) -> name of a score -> its value for each image
- `map.stablehlo`: (arrays, images, index) -> anomaly map of each image
- `combine.stablehlo`: name of a score -> its value for each image -> the same for the combinations

`arrays` are those arrays of `arrays.npz` that `programs.json` lists, by name. `images` are uint8
[N, H, W, C]. `index` is the CRC-32 of the bytes of each image, as int32: the random numbers of a score
depend on it.
"""

import dataclasses
import hashlib
import io
import json
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

from vae_jax.detector.parts import DetectorParts
from vae_jax.detector.storage import ARRAYS, DAMAGE, DESCRIPTION, describe_parts, parse_parts
from vae_jax.errors import UserError
from vae_jax.runtime.zip_files import check_members
from vae_jax.workdir import write_bytes

PROGRAMS = "programs.json"
SUFFIX = ".stablehlo"
FORMAT = 1  # changes when an artifact of an earlier version can no longer be read
_DATE = (1980, 1, 1, 0, 0, 0)  # of the files in the zip: equal detectors give equal bytes


@dataclasses.dataclass(frozen=True)
class Artifact:
    """The content of an exported detector.

    Attributes:
        parts: the detector.
        description: content of programs.json.
        programs: name of a program, `score`, `map` or `combine` -> its bytes.
    """

    parts: DetectorParts
    description: dict[str, Any]
    programs: dict[str, bytes]


def write_artifact(
    path: pathlib.Path,
    parts: DetectorParts,
    description: Mapping[str, Any],
    programs: Mapping[str, bytes],
) -> None:
    """Writes an exported detector, whole or not at all.

    Args:
        path: the file.
        parts: the detector.
        description: content of programs.json; digests are added.
        programs: name of a program -> its bytes.
    """
    arrays, text = describe_parts(parts)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in programs.items()}
    described = {"format": FORMAT, **description, "sha256": digests}
    files = {
        PROGRAMS: (json.dumps(described, indent=2) + "\n").encode(),
        DESCRIPTION: text.encode(),
        ARRAYS: arrays,
    } | {f"{name}{SUFFIX}": content for name, content in programs.items()}
    write_bytes(path, _pack_zip(files))


def read_artifact(path: pathlib.Path) -> Artifact:
    """Reads an exported detector.

    Raises:
        UserError: if the file is missing, no exported detector, of another version or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # What is not compressed cannot be larger than the file.
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise UserError(f"{path} is compressed, so it is not an exported detector")
            check_members(archive, size := path.stat().st_size, size)
            files = {name: archive.read(name) for name in archive.namelist()}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; name a workdir or an exported detector") from None
    except (
        zipfile.BadZipFile,
        ValueError,
        EOFError,
        RuntimeError,
    ) as error:  # also an encrypted one
        raise UserError(
            f"{path} is not an exported detector, or it is damaged ({error}); export it again"
        ) from error
    if PROGRAMS not in files:
        raise UserError(f"{path} is a zip file, but not an exported detector; it lacks {PROGRAMS}")
    try:
        description = json.loads(files[PROGRAMS])
        if description["format"] != FORMAT:
            raise UserError(f"{path} was exported by another version of vae_jax; export it again")
        programs = {name: files[f"{name}{SUFFIX}"] for name in description["sha256"]}
        for name, content in programs.items():
            if hashlib.sha256(content).hexdigest() != description["sha256"][name]:
                raise ValueError(f"{name}{SUFFIX} has changed since it was written")
        parts = parse_parts(files[DESCRIPTION].decode(), files[ARRAYS], path)
    except DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged ({reason}); export it again") from error
    return Artifact(parts, description, programs)


def is_artifact(path: pathlib.Path) -> bool:
    """Returns whether a file is an exported detector, of any version, whether damaged or not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return PROGRAMS in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _pack_zip(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.external_attr = 0o644 << 16  # readable by all who may read the zip
            archive.writestr(info, content)
    return stream.getvalue()
