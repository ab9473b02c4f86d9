"""The workdir: the folder of one run, its config as config.json, and its files, which are written whole."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.runtime.lock import LockedError, hold_lock

# The sections of results.json. They are fixed, because other programs read them; details.json holds every
# other section.
RESULT_SECTIONS = frozenset(
    {
        "dataset", "reconstruction", "likelihood", "detection", "baselines", "localisation", "latent",
        "generation", "training", "cost",
    }
)  # fmt: skip


# A folder with this file was written by this program, and is never taken for a folder of images.
MARKER_FILE = "VAE_JAX_OUTPUT.txt"
_LOCK_FILE = ".vae_jax.lock"  # exists while a process uses the workdir
_MARKER_TEXT = "vae_jax wrote this folder. Because of this file, it never reads images from here.\n"


def mark_output(folder: pathlib.Path) -> None:
    """Makes a folder for output, if necessary, and marks it as such."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / MARKER_FILE).exists():
        (folder / MARKER_FILE).write_text(_MARKER_TEXT, encoding="utf-8")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a whole file or nothing, so that a killed run leaves no half-written file."""
    write_bytes(path, text.encode())


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Does the same as `write_text` with bytes."""
    draft = path.with_name(path.name + ".part")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # without this, a power cut could leave an empty file
        os.replace(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)  # a full disk keeps no part of the file
        raise


def flatten_config(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns `{"group.field": value}`, with tuples as lists because JSON has no tuples."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            flat |= {f"{name}.{field}": inner for field, inner in flatten_config(value).items()}
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


def override_fields(config: ml_collections.ConfigDict, values: Mapping[str, Any]) -> None:
    """Sets the fields `{"group.field": value}` in place, with lists as tuples."""
    with config.unlocked():
        config.update_from_flattened_dict(
            {
                field: tuple(value) if isinstance(value, list) else value
                for field, value in values.items()
            }
        )


def write_results(workdir: pathlib.Path, results: Mapping[str, Any]) -> None:
    """Writes the sections named in RESULT_SECTIONS to results.json and all others to details.json."""
    mark_output(workdir)
    for name, sections in (
        ("results", RESULT_SECTIONS),
        ("details", results.keys() - RESULT_SECTIONS),
    ):
        selected = {section: results[section] for section in results if section in sections}
        _write_json(workdir / f"{name}.json", selected)


def merge_results(
    workdir: pathlib.Path, sections: dict[str, dict[str, Any]], remove: Sequence[str]
) -> None:
    """Adds fields to sections of results.json; a missing file counts as a file without sections.

    Args:
        workdir: workdir of the run.
        sections: name of a section -> fields that are added to it.
        remove: older results that are deleted first: "SECTION" or "SECTION.FIELD". Without this, results
            of two computations could be mixed.

    Raises:
        UserError: if results.json is not readable.
    """
    mark_output(workdir)
    path = workdir / "results.json"
    results = _read_json(path) if path.exists() else {}
    for name in remove:
        section, _, field = name.partition(".")
        if field:
            results.get(section, {}).pop(field, None)
        else:
            results.pop(section, None)
    for section, fields in sections.items():
        results[section] = results.get(section, {}) | fields
    _write_json(path, results)


def read_results(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns the sections of results.json and, if the file exists, of details.json.

    Raises:
        UserError: if results.json is missing, or if one of the files is not valid JSON.
    """
    results: dict[str, Any] = {}
    for path in (workdir / "results.json", workdir / "details.json"):
        try:
            results |= _read_json(path)
        except FileNotFoundError:
            if not results:
                raise UserError(
                    f"{path} is missing; run --mode=evaluate on this workdir first"
                ) from None
    return results


@contextlib.contextmanager
def explain_damaged_results(workdir: pathlib.Path) -> Iterator[None]:
    """Turns what a `with` block raises on results that were edited by hand into one line.

    Raises:
        UserError: if an entry is missing or is of another type than an evaluation writes.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"results.json or details.json in {workdir} is not as an evaluation writes it "
            f"({type(error).__name__}: {' '.join(str(error).split())}); run --mode=evaluate again"
        ) from error


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
        return content
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); run --mode=evaluate again") from None


def _write_json(path: pathlib.Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_config(workdir: pathlib.Path) -> ml_collections.ConfigDict:
    """Reads the config of the run in a workdir without executing any code from there.

    Raises:
        UserError: if config.json is missing or damaged, or has a field that this version lacks.
    """
    path = workdir / "config.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{workdir} holds no run (it lacks config.json); train one there first, or choose another "
            "--workdir"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); choose another --workdir") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} is not the config of a run; choose another --workdir")
    try:
        return decode_config(stored)
    except ValueError as error:
        raise UserError(f"{path} {error}; choose another --workdir") from error


def decode_config(stored: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """Returns the config that `ConfigDict.to_json` has written, with the defaults of missing fields.

    Raises:
        ValueError: if a field is unknown, or its value has the wrong type.
    """
    config = default()
    try:
        values = flatten_config(ml_collections.ConfigDict(stored))
    except (AttributeError, TypeError, ValueError) as error:  # a name that no field can have
        raise ValueError(f"is not a config ({' '.join(str(error).split())})") from error
    unknown = sorted(values.keys() - flatten_config(config).keys())
    if unknown:
        raise ValueError(f"has the field {unknown[0]}, which this version lacks")
    empty = sorted(field for field, value in values.items() if value is None)
    if empty:
        raise ValueError(f"has no value of the field {empty[0]}")
    try:
        override_fields(config, values)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"has a value of the wrong type ({reason})") from error
    return config


@contextlib.contextmanager
def lock_workdir(workdir: pathlib.Path) -> Iterator[None]:
    """Makes this process the only one that writes to a workdir, until the `with` block ends.

    A workdir that cannot be written is not locked; whatever writes to it says so itself.

    Raises:
        UserError: if another process uses the workdir. The message says which one, and since when.
    """
    with contextlib.ExitStack() as stack:
        try:
            mark_output(workdir)
            stack.enter_context(hold_lock(workdir / _LOCK_FILE))
        except LockedError as error:
            raise UserError(
                f"--workdir={workdir} is in use by {error}; wait until it has finished, or choose another "
                "--workdir"
            ) from None
        except OSError:
            pass
        yield
