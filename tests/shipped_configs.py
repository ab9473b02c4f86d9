"""The shipped configs, with all their variants, for tests that run none of them."""

import pathlib
import re
import runpy

import pytest

from vae_jax.errors import UserError
from vae_jax.validate import resolve_names, validate_config

CONFIGS = sorted((pathlib.Path(__file__).parents[1] / "configs").glob("*.py"))


def load_shipped():
    """Returns name of a config, with its variant -> config, for every shipped config and every variant."""
    shipped = {}
    for path in CONFIGS:
        get_config = runpy.run_path(str(path))["get_config"]
        with pytest.raises(UserError, match="has no variant nonsense") as refused:
            get_config("nonsense")
        listed = re.search("valid: (.*)", str(refused.value))
        for variant in ("", *(listed[1].split(", ") if listed else ())):
            config = get_config(variant)
            resolve_names(config)
            validate_config(config)
            shipped[f"{path.stem}:{variant}"] = config
    return shipped
