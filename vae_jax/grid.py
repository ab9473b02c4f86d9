"""The grid of an ablation: reads `ablate.factors` and makes the config of each cell."""

import ast
import dataclasses
import itertools
import urllib.parse
from collections.abc import Sequence
from typing import Any

import ml_collections

from vae_jax import validate as validate_lib
from vae_jax import workdir as workdir_lib
from vae_jax.config import default
from vae_jax.errors import UserError, suggest_name
from vae_jax.field_syntax import parse_names
from vae_jax.memory_check import check_memory

# Fields and groups of fields that cannot be factors -> the reason, as part of an error message.
_EXCLUDED_FIELDS = {
    "seed": "ablate.seeds varies it",
    "name": "it only names the run",
    "ablate.": "it describes the ablation itself",
    "explore.": "it changes nothing that an ablation measures",
    "report.": "it changes nothing that an ablation measures",
}
_EXAMPLE = 'for example "model.latent_dim=64,128,256" with the base first'


@dataclasses.dataclass(frozen=True)
class Factor:
    """A config field that the ablation varies, and its levels.

    Attributes:
        field: name of the field, for example "model.latent_dim".
        levels: level as the user wrote it -> its value; the first level is the base.
    """

    field: str
    levels: dict[str, Any]

    @property
    def base(self) -> str:
        """The level that the other levels are compared with."""
        return next(iter(self.levels))


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run of an ablation.

    Attributes:
        name: name of the cell's folder, unique within the ablation.
        levels: field -> level as the user wrote it, for every factor.
        config: config of the cell's run, resolved and valid.
    """

    name: str
    levels: dict[str, str]
    config: ml_collections.ConfigDict


def read_factors(texts: Sequence[str]) -> tuple[Factor, ...]:
    """Reads `ablate.factors`.

    Args:
        texts: one text per factor, for example "model.latent_dim=64,128,256".

    Raises:
        UserError: if a factor or a level is not valid, or if two factors vary the same field.
    """
    if not texts:
        raise UserError(f"ablate.factors is empty; name a field and its levels, {_EXAMPLE}")
    factors = tuple(_read_factor(text) for text in texts)
    fields = [factor.field for factor in factors]
    for field in fields:
        if fields.count(field) > 1:
            raise UserError(
                f"ablate.factors names {field} twice; list all its levels in one factor"
            )
    return factors


def make_cells(config: ml_collections.ConfigDict, factors: Sequence[Factor]) -> tuple[Cell, ...]:
    """Returns the cells of the ablation, ordered by seed, the base of each seed first.

    Args:
        config: config of the ablation.
        factors: factors that the ablation varies.

    Raises:
        UserError: if a seed is not valid, or if a combination of levels gives a config that is not valid.
    """
    combinations = _DESIGNS[config.ablate.design](factors)
    seeds = _read_seeds(config.ablate.seeds)
    return tuple(
        _make_cell(config, factors, levels, seed) for seed in seeds for levels in combinations
    )


def _read_factor(text: str) -> Factor:
    field, equals, level_list = (part.strip() for part in str(text).partition("="))
    defaults = workdir_lib.flatten_config(default())
    if field not in defaults:
        hint = suggest_name(field, defaults) or "vae_jax/config.py lists all fields"
        raise UserError(f"ablate.factors varies {field!r}, but there is no such field; {hint}")
    for excluded, reason in _EXCLUDED_FIELDS.items():
        if field == excluded or (excluded.endswith(".") and field.startswith(excluded)):
            raise UserError(
                f"ablate.factors cannot vary {field}, because {reason}; choose another field"
            )
    words = _split_levels(level_list)
    if not equals or not all(words):
        raise UserError(
            f"ablate.factors contains {text!r}, with an empty level; write a field and its levels, "
            f"{_EXAMPLE}"
        )
    levels = {word: _read_level(field, word, defaults[field]) for word in words}
    values = list(levels.values())
    # Different words may have the same value, for example 1 and 1.0.
    has_duplicates = len(levels) < len(words) or any(values.count(value) > 1 for value in values)
    if len(words) < 2 or has_duplicates:
        raise UserError(
            f"ablate.factors contains {text!r}; a factor needs two or more different levels"
        )
    return Factor(field, levels)


def _split_levels(level_list: str) -> list[str]:
    """Splits a text at the commas that are outside parentheses."""
    words, depth = [""], 0
    for letter in level_list:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return [word.strip() for word in words]


def _read_level(field: str, word: str, default_value: Any) -> Any:
    """Returns the value of a level, of the same type as the field's default.

    Raises:
        UserError: if the word is not a value of that type.
    """
    try:
        value = _READERS[type(default_value)](word)
    except (ValueError, SyntaxError):
        expected = _EXPECTED_LEVELS[type(default_value)]
        raise UserError(
            f"ablate.factors sets {field} to {word!r}; its levels must be {expected}"
        ) from None
    # As Python code, the class 1_2 would be the number 12.
    return parse_names(word) if field in validate_lib.LISTS_OF_NAMES else value


def _read_bool(word: str) -> bool:
    values = {"true": True, "false": False}
    if word.lower() not in values:
        raise ValueError("neither true nor false")
    return values[word.lower()]


def _read_tuple(word: str) -> tuple:
    value = ast.literal_eval(word)
    if not isinstance(value, tuple):
        raise ValueError("not a tuple")
    return value


# Type of a field's default -> function that reads a level; `flatten_config` returns tuples as lists.
_READERS = {bool: _read_bool, int: int, float: float, str: str, list: _read_tuple}
# Type of a field's default -> description of its levels, for an error message.
_EXPECTED_LEVELS = {
    bool: "true and false",
    int: "whole numbers",
    float: "numbers",
    str: "words",
    list: "tuples, for example (32, 64)",
}


def _read_seeds(seeds: Sequence[Any]) -> tuple[int, ...]:
    if not seeds:
        raise UserError("ablate.seeds is empty; list one or more seeds, for example (0, 1, 2)")
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
            raise UserError(
                f"ablate.seeds contains {seed!r}; a seed is a whole number from 0 to 2147483647"
            )
    if len(set(seeds)) < len(seeds):
        raise UserError(f"ablate.seeds is {tuple(seeds)}; list each seed once")
    return tuple(seeds)


def _vary_one_at_a_time(factors: Sequence[Factor]) -> list[dict[str, str]]:
    """Returns the base, and every combination of levels in which exactly one factor is not at its base."""
    base = {factor.field: factor.base for factor in factors}
    variations = [
        base | {factor.field: level} for factor in factors for level in list(factor.levels)[1:]
    ]
    return [base, *variations]


def _combine_all(factors: Sequence[Factor]) -> list[dict[str, str]]:
    """Returns every combination of levels, the base first."""
    fields = [factor.field for factor in factors]
    combinations = itertools.product(*(factor.levels for factor in factors))
    return [dict(zip(fields, levels, strict=True)) for levels in combinations]


# `ablate.design` -> function that returns combinations of levels, each as field -> level of every factor.
_DESIGNS = {"one_at_a_time": _vary_one_at_a_time, "full": _combine_all}


def _make_cell(
    config: ml_collections.ConfigDict,
    factors: Sequence[Factor],
    levels: dict[str, str],
    seed: int,
) -> Cell:
    name = _make_name(factors, levels, seed)
    cell_config = config.copy_and_resolve_references()
    values = {factor.field: factor.levels[levels[factor.field]] for factor in factors}
    values |= {"seed": seed, "name": f"{config.name} {name}", "ablate.factors": ()}
    workdir_lib.override_fields(cell_config, values)
    try:
        validate_lib.resolve_names(cell_config)
        validate_lib.validate_config(cell_config)
        check_memory(cell_config, "ablate")
    except UserError as error:
        raise UserError(
            f"ablate.factors: the config of cell {name} is not valid: {error}"
        ) from error
    return Cell(name, levels, cell_config)


def _make_name(factors: Sequence[Factor], levels: dict[str, str], seed: int) -> str:
    """Returns a unique folder name: the levels that differ from the base, and the seed."""
    changes = [
        f"{factor.field}={urllib.parse.quote(levels[factor.field], safe='()+')}"
        for factor in factors
        if levels[factor.field] != factor.base
    ]
    return ",".join([*(changes or ["base"]), f"seed={seed}"])
