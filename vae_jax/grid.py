"""The cells of an ablation: what `ablate.factors` asks for, typed and checked before anything trains."""

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

# Fields, or groups of them, whose levels would train the same model again, or clash with the grid itself.
_NO_FACTORS = {
    "seed": "is varied by ablate.seeds",
    "name": "only names the run",
    "ablate.": "describes the ablation itself",
    "explore.": "changes nothing that an ablation measures",
    "report.": "changes nothing that an ablation measures",
}
_EXAMPLE = 'as "model.latent_dim=64,128,256", the base first'


@dataclasses.dataclass(frozen=True)
class Factor:
    """A field of the configuration and what it is set to.

    Attributes:
        field: as "model.latent_dim".
        levels: as the user wrote them -> their values; the first is the base.
    """

    field: str
    levels: dict[str, Any]

    @property
    def base(self) -> str:
        """The level that the others are held against."""
        return next(iter(self.levels))


@dataclasses.dataclass(frozen=True)
class Cell:
    """One training run of an ablation.

    Attributes:
        name: of its folder, no other cell's.
        levels: field -> level as the user wrote it, of every factor.
        config: resolved and valid.
    """

    name: str
    levels: dict[str, str]
    config: ml_collections.ConfigDict


def read_factors(texts: Sequence[str]) -> tuple[Factor, ...]:
    """Reads `ablate.factors`.

    Raises:
        UserError: names the factor or the level that was refused, and why.
    """
    if not texts:
        raise UserError(f"ablate.factors is empty; name what to vary, {_EXAMPLE}")
    factors = tuple(_read_factor(text) for text in texts)
    fields = [factor.field for factor in factors]
    for field in fields:
        if fields.count(field) > 1:
            raise UserError(
                f"ablate.factors names {field} twice; give all its levels in one factor"
            )
    return factors


def make_cells(config: ml_collections.ConfigDict, factors: Sequence[Factor]) -> tuple[Cell, ...]:
    """Returns every cell, seed after seed, the base of each first; each config is resolved and valid.

    Raises:
        UserError: if a seed is none, or names the setting that does not make a valid config.
    """
    settings = _DESIGNS[config.ablate.design](factors)
    seeds = _read_seeds(config.ablate.seeds)
    return tuple(_cell(config, factors, levels, seed) for seed in seeds for levels in settings)


def _read_factor(text: str) -> Factor:
    field, equals, listed = (part.strip() for part in str(text).partition("="))
    known = workdir_lib.flatten_config(default())
    if field not in known:
        hint = suggest_name(field, known) or "vae_jax/config.py lists them"
        raise UserError(f"ablate.factors varies {field!r}, and there is no such field; {hint}")
    for fixed, why in _NO_FACTORS.items():
        if field == fixed or (fixed.endswith(".") and field.startswith(fixed)):
            raise UserError(f"ablate.factors varies {field}, which {why}; take another field")
    words = _split(listed)
    if not equals or not all(words):
        raise UserError(f"ablate.factors has {text!r}, with an empty level; give them {_EXAMPLE}")
    levels = {word: _read_level(field, word, known[field]) for word in words}
    values = list(levels.values())
    if (
        len(words) < 2
        or any(values.count(value) > 1 for value in values)
        or len(levels) < len(words)
    ):
        raise UserError(f"ablate.factors has {text!r}; a factor needs two or more different levels")
    return Factor(field, levels)


def _split(listed: str) -> list[str]:
    """Parts at the commas that stand outside of parentheses."""
    words, depth = [""], 0
    for letter in listed:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            words.append("")
        else:
            words[-1] += letter
    return [word.strip() for word in words]


def _read_level(field: str, word: str, example: Any) -> Any:
    try:
        return _READERS[type(example)](word)
    except (ValueError, SyntaxError):
        kind = _KINDS[type(example)]
        raise UserError(f"ablate.factors sets {field} to {word!r}; its levels are {kind}") from None


def _bool(word: str) -> bool:
    values = {"true": True, "false": False}
    if word.lower() not in values:
        raise ValueError("neither true nor false")
    return values[word.lower()]


def _tuple(word: str) -> tuple:
    value = ast.literal_eval(word)
    if not isinstance(value, tuple):
        raise ValueError("no tuple")
    return value


# Type of the field's default -> how a level is read; `flatten` gives tuples as lists.
_READERS = {bool: _bool, int: int, float: float, str: str, list: _tuple}
_KINDS = {
    bool: "true and false",
    int: "whole numbers",
    float: "numbers",
    str: "words",
    list: "tuples, as (32, 64)",
}


def _read_seeds(seeds: Sequence[Any]) -> tuple[int, ...]:
    if not seeds:
        raise UserError("ablate.seeds is empty; give one or more, as (0, 1, 2)")
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**31:
            raise UserError(
                f"ablate.seeds holds {seed!r}; a seed is a whole number from 0 to 2147483647"
            )
    if len(set(seeds)) < len(seeds):
        raise UserError(f"ablate.seeds is {tuple(seeds)}; give each seed once")
    return tuple(seeds)


def _one_at_a_time(factors: Sequence[Factor]) -> list[dict[str, str]]:
    base = {factor.field: factor.base for factor in factors}
    others = [
        base | {factor.field: level} for factor in factors for level in list(factor.levels)[1:]
    ]
    return [base, *others]


def _full(factors: Sequence[Factor]) -> list[dict[str, str]]:
    fields = [factor.field for factor in factors]
    combinations = itertools.product(*(factor.levels for factor in factors))
    return [dict(zip(fields, levels, strict=True)) for levels in combinations]


_DESIGNS = {"one_at_a_time": _one_at_a_time, "full": _full}


def _cell(
    config: ml_collections.ConfigDict,
    factors: Sequence[Factor],
    levels: dict[str, str],
    seed: int,
) -> Cell:
    name = _name(factors, levels, seed)
    cell_config = config.copy_and_resolve_references()
    values = {factor.field: factor.levels[levels[factor.field]] for factor in factors}
    own = {"seed": seed, "name": f"{config.name} {name}", "ablate.factors": ()}
    workdir_lib.override_fields(cell_config, values | own)
    try:
        validate_lib.resolve_names(cell_config)
        validate_lib.validate_config(cell_config)
    except UserError as error:
        raise UserError(f"ablate.factors: {name} makes no valid config: {error}") from error
    return Cell(name, levels, cell_config)


def _name(factors: Sequence[Factor], levels: dict[str, str], seed: int) -> str:
    """What differs from the base, as a folder's name; two cells never share one."""
    changes = [
        f"{factor.field}={urllib.parse.quote(levels[factor.field], safe='()+')}"
        for factor in factors
        if levels[factor.field] != factor.base
    ]
    return ",".join([*(changes or ["base"]), f"seed={seed}"])
