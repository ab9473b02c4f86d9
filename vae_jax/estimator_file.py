"""The file estimator.json: parameters and attributes of an estimator, beside the folder of its detector."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.errors import UserError

FILE = "estimator.json"


def describe_estimator(parameters: Mapping[str, Any], attributes: Mapping[str, Any]) -> str:
    """Returns the content of the file.

    Raises:
        UserError: if a parameter is no value of JSON.
    """
    content = {"parameters": parameters, "attributes": attributes}
    try:
        return json.dumps(content, indent=2, default=_unwrap) + "\n"
    except (TypeError, ValueError) as error:
        raise UserError(f"the parameters cannot be saved as JSON: {error}") from error


def read_estimator(
    folder: pathlib.Path, names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the parameters and the attributes that a folder holds.

    Args:
        folder: folder of the file.
        names: names of the parameters that an estimator has; others are refused.

    Raises:
        UserError: if there is no file, it is damaged, or it has another parameter.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parameters, attributes = (
            {name: _make_tuples(value) for name, value in content[part].items()}
            for part in ("parameters", "attributes")
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder} holds no {FILE}; name a folder of VAEDetector.save") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is damaged ({reason}); save the estimator again") from error
    unknown = sorted(parameters.keys() - set(names))
    if unknown:
        raise UserError(f"{path} has the parameter {unknown[0]}, which this version lacks")
    return parameters, attributes


def _make_tuples(value: Any) -> Any:
    """Returns a value of JSON with tuples in place of lists, as they are in parameters."""
    if isinstance(value, list):
        return tuple(map(_make_tuples, value))
    if isinstance(value, dict):
        return {name: _make_tuples(inner) for name, inner in value.items()}
    return value


def _unwrap(value: Any) -> Any:
    """Returns a number of NumPy as one of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no value of JSON")
