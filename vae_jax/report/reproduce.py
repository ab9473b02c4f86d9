"""The command that runs a config again, from nothing but its `config.json`."""

import json
import shlex

import ml_collections

from vae_jax import config as config_lib
from vae_jax import workdir as workdir_lib


def make_command(config: ml_collections.ConfigDict) -> list[str]:
    """Returns a shell command in pieces, one for each field that differs from the embedded default."""
    default = workdir_lib.flatten_config(config_lib.default())
    fields = workdir_lib.flatten_config(config)
    overrides = {name: value for name, value in fields.items() if value != default.get(name)}
    return [
        "python -m vae_jax.main",
        *(shlex.quote(f"--config.{name}={_literal(value)}") for name, value in overrides.items()),
    ]


def _literal(value: object) -> str:
    if not isinstance(value, list):
        return str(value)
    # JSON's double quotes inside, so that the shell's single quotes around them stay readable.
    items = "".join(json.dumps(item) + ", " for item in value)
    return f"({items.rstrip()})"
