"""The workdir: one run of one config, kept as config.json, and files written whole or not at all."""

import json
import os
import pathlib
from typing import Any

import ml_collections

from vae_jax.config import default
from vae_jax.errors import UserError

# Neither where the data lies or waits, nor what other modes do with a run, makes another run of it.
_FIELDS_OUTSIDE_A_RUN = (
    "data.dir",
    "data.manual_dir",
    "data.anomaly_manual_dir",
    "data.cache",
    "explore.",
    "ablate.",
)

# The sections of results.json, fixed: others read them. What else was measured stands in details.json.
RESULT_SECTIONS = frozenset(
    {
        "dataset", "reconstruction", "likelihood", "detection", "baselines", "localisation", "latent",
        "generation", "cost",
    }
)  # fmt: skip


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file whole or not at all, so that a killed run leaves no half of one."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


def flatten_config(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns `{"group.field": value}`, tuples as lists, as JSON has them."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            flat |= {f"{name}.{field}": inner for field, inner in flatten_config(value).items()}
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat


def override_fields(config: ml_collections.ConfigDict, values: dict[str, Any]) -> None:
    """Sets `{"group.field": value}` in place; lists become tuples again."""
    with config.unlocked():
        config.update_from_flattened_dict(
            {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        )


def write_results(workdir: pathlib.Path, results: dict[str, Any]) -> None:
    """Writes the sections that every reader may count on to results.json, all others to details.json."""
    for name, chosen in (
        ("results", RESULT_SECTIONS),
        ("details", results.keys() - RESULT_SECTIONS),
    ):
        part = {section: results[section] for section in results if section in chosen}
        text = json.dumps(part, indent=2, allow_nan=False) + "\n"
        write_text(workdir / f"{name}.json", text)


def read_results(workdir: pathlib.Path) -> dict[str, Any]:
    """Returns the sections of results.json, and those of details.json where it is there.

    Raises:
        UserError: if results.json is missing, or one of them is not readable.
    """
    results: dict[str, Any] = {}
    for path in (workdir / "results.json", workdir / "details.json"):
        try:
            results |= json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            if not results:
                raise UserError(
                    f"{path} is missing; run --mode=evaluate on this workdir first"
                ) from None
        except ValueError as error:
            raise UserError(f"{path} is no JSON ({error}); run --mode=evaluate again") from None
    return results


def read_config(workdir: pathlib.Path) -> ml_collections.ConfigDict:
    """Reads the config of the run in a workdir; no code from there is executed.

    Raises:
        UserError: if there is no readable config, or one with a field that this version lacks.
    """
    path = workdir / "config.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{workdir} holds no run (no config.json); train one first") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable JSON ({error}); take another --workdir") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} is not the config of a run; take another --workdir")
    config = default()
    flat = flatten_config(ml_collections.ConfigDict(stored))
    unknown = sorted(flat.keys() - flatten_config(config).keys())
    if unknown:
        raise UserError(
            f"{path} has the field {unknown[0]}, which this version does not know; take another --workdir"
        )
    try:
        override_fields(config, flat)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} has a value of the wrong type ({reason}); take another --workdir"
        ) from error
    return config


def claim_workdir(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    """Makes the workdir, or checks that it belongs to the same run, and writes config.json.

    A larger `train.epochs` continues a run; where the data lies does not count.

    Raises:
        UserError: if the workdir cannot be written, or names each field in which its run differs.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe = workdir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"--workdir={workdir} cannot be written ({reason}); take another, or change its permissions"
        ) from error
    # A run that was refused before its first step has left nothing that another config could spoil.
    if (workdir / "config.json").exists() and (workdir / "metrics.jsonl").exists():
        _refuse_other(workdir, config)
    write_text(workdir / "config.json", config.to_json(indent=2, sort_keys=True) + "\n")


def run_fields(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns `{"group.field": value}` of the fields that make a run what it is."""
    flat = flatten_config(config)
    return {name: flat[name] for name in flat if not name.startswith(_FIELDS_OUTSIDE_A_RUN)}


def _refuse_other(workdir: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    old, new = run_fields(read_config(workdir)), run_fields(config)
    if new["train.epochs"] > old["train.epochs"]:
        old["train.epochs"] = new["train.epochs"]
    differences = [
        f"{name} is {old[name]} there and {new[name]} here"
        for name in sorted(new)
        if old[name] != new[name]
    ]
    if differences:
        judged = all(difference.startswith(("scoring.", "report.")) for difference in differences)
        raise UserError(
            f"--workdir={workdir} holds a run of another config: {'; '.join(differences)}. Take "
            + ("--mode=evaluate to judge that run otherwise, " if judged else "")
            + "another --workdir, or the same values"
        )
