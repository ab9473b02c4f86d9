"""The shell command that repeats a run, made from its `config.json` alone."""

import json
import shlex

import ml_collections

from vae_jax import config as config_lib
from vae_jax import workdir as workdir_lib


def make_command(config: ml_collections.ConfigDict) -> list[str]:
    """Returns the parts of a shell command that repeats a run.

    Args:
        config: config of the run.

    Returns:
        The program first, then one flag for each field that differs from `config.default()`.
    """
    default = workdir_lib.flatten_config(config_lib.default())
    fields = workdir_lib.flatten_config(config)
    overrides = {name: value for name, value in fields.items() if value != default.get(name)}
    return [
        "python -m vae_jax.main",
        *(
            shlex.quote(f"--config.{name}={_format_literal(value)}")
            for name, value in overrides.items()
        ),
    ]


def _format_literal(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    # Strings have JSON's double quotes, so that the shell's single quotes around the list stay readable.
    items = "".join(json.dumps(item) + ", " for item in value)
    return f"({items.rstrip()})"
