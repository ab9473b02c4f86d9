"""Refuses fields that do not exist and values of the wrong type, with a hint at what was meant.

The fields are those of the command line and of a config file. `validate.py` checks the values themselves.
"""

import pathlib
from collections.abc import Iterable, Sequence

import ml_collections

from vae_jax import config as config_lib
from vae_jax.errors import UserError, suggest_name
from vae_jax.workdir import flatten_config

_FLAG_TYPES = {
    "--num_processes": int,
    "--process_id": int,
    "--distributed": bool,
    "--overlays": bool,
    "--maps": bool,
}
# Type of a flag or a field -> description of its values, for an error message.
_EXPECTED_VALUES = {bool: "true or false", int: "a whole number", float: "a number"}


def check_overridden_fields(argv: Sequence[str]) -> None:
    """Refuses `--config.group.field=value` if no such field exists."""
    fields = sorted(flatten_config(config_lib.default()))
    for arg in argv:
        field = arg.removeprefix("--config.").partition("=")[0]
        if arg.startswith("--config.") and field not in fields:
            raise UserError(f"--config.{field}: there is no such field; {_hint(field, fields)}")


def check_config_file(argv: Sequence[str]) -> None:
    """Refuses `--config=FILE` if the file is missing."""
    for arg in argv:
        flag, _, value = arg.partition("=")
        path = value.partition(":")[0]
        if flag == "--config" and not pathlib.Path(path).is_file():
            raise UserError(
                f"--config={path}: there is no such file; the shipped config files are configs/*.py"
            )


def check_fields_of_file(config: ml_collections.ConfigDict) -> None:
    """Refuses a config file that sets a field which no code reads."""
    fields = flatten_config(config_lib.default()).keys()
    for field in sorted(flatten_config(config).keys() - fields):
        raise UserError(
            f"the config file sets {field}, and there is no such field; {_hint(field, fields)}"
        )


def describe_illegal_value(message: str) -> str:
    """Returns an error message that names the expected type of a value.

    Args:
        message: message of absl: "flag --NAME=VALUE: REASON", where Python words the reason.
    """
    flag, _, reason = message.removeprefix("flag ").partition(": ")
    name = flag.partition("=")[0]
    defaults = flatten_config(config_lib.default())
    expected_type = _FLAG_TYPES.get(name) or type(defaults.get(name.removeprefix("--config.")))
    if expected_type in _EXPECTED_VALUES:
        return f"{flag} is not valid; give {_EXPECTED_VALUES[expected_type]}"
    return f"{flag}: {reason}; --help lists the flags"


def _hint(field: str, fields: Iterable[str]) -> str:
    return suggest_name(field, fields) or "vae_jax/config.py lists the fields"
