"""Writes configuration.md, the table of every config field: python docs/write_config_reference.py

The comments and defaults come from `vae_jax/config.py`, the valid values from `vae_jax/validate.py`, and
the values of each shipped config from `configs/`. A test compares the page with what this script makes.
"""

import ast
import pathlib
import re
import runpy
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import ml_collections

from vae_jax import validate
from vae_jax.config import default
from vae_jax.errors import UserError
from vae_jax.observation import data_package
from vae_jax.workdir import flatten_config

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"

INTRODUCTION = """\
# Every field of the configuration

`python docs/write_config_reference.py` writes this page from
[vae_jax/config.py](../vae_jax/config.py), [vae_jax/validate.py](../vae_jax/validate.py) and
[configs](../configs). Do not edit it by hand.

Set a field on the command line with `--config.GROUP.FIELD=VALUE`:

    python -m vae_jax.main --config.train.epochs=100 --config.objective.beta=4 --workdir=runs/beta4

- A list of names is written with commas: `--config.scoring.names=mse,elbo`.
- An unknown field, or a value that is not valid, is refused in one line, which says what is valid.
- The config of a run is stored in its workdir as `config.json`.
- The column *valid* is empty where the comment says everything, or where any value of the type will do.
"""

CONFIGS_INTRODUCTION = """
## The shipped configs

Each table lists the fields whose value differs from that of the default config `digits`, or, for a
variant, from that of its config. The docstring of a config says what it costs and which numbers to expect.
"""

# Group -> what its fields are about.
GROUPS = {
    "": "The run",
    "data": "Images, classes and the split",
    "augment": "Augmentation of training images",
    "model": "The model",
    "objective": "The loss",
    "train": "Training",
    "scoring": "Scores and decisions",
    "report": "The report",
    "explore": "The page of the latent space",
    "ablate": "The grid of an ablation",
}
# Field -> the page that lists its valid values.
LINKS = {
    "scoring.names": "[scores](scores.md)",
    "scoring.fusion": "[scores](scores.md)",
}


class Field(NamedTuple):
    """One field: its name without the group, its comment, and a note that stands above it alone."""

    name: str
    comment: str
    note: str


def read_fields() -> Iterator[tuple[str, Field]]:
    """Yields (group, field) for every field, in the order of `config.py`."""
    source = (ROOT / "vae_jax" / "config.py").read_text("utf-8")
    lines = source.splitlines()
    function = next(
        node for node in ast.parse(source).body if getattr(node, "name", "") == "default"
    )
    for statement in function.body:
        # A group is `data = config.data = ConfigDict()`; a field is `data.dir = VALUE`.
        if not (
            isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Attribute)
        ):
            continue
        target = statement.targets[0]
        above, row = [], statement.lineno - 2
        while lines[row].lstrip().startswith("#") or (above and not lines[row].strip()):
            above.insert(0, lines[row].strip().lstrip("# "))
            row -= 1
        note, _, comment = "\n".join(above).rpartition("\n\n")
        inside = lines[statement.lineno - 1 : statement.end_lineno]
        beside = [
            line.split("  # ")[1] for line in inside if "  # " in line and "# fmt" not in line
        ]
        comment = " ".join([*comment.split("\n"), *beside]).strip()
        group = "" if target.value.id == "config" else target.value.id
        yield group, Field(target.attr, comment, note.replace("\n", " ").strip())


def describe_valid_values(field: str, comment: str) -> str:
    """Returns the valid values that `validate.py` names for "group.field", or "".

    Names that the comment of the field lists already are left out.
    """
    if field in LINKS:
        return LINKS[field]
    if field in validate.VALID_NAMES:
        names = validate.VALID_NAMES[field]
        is_listed = all(str(name) in comment for name in names)
        return "" if is_listed else ", ".join(map(format_value, names))
    if field in validate.MINIMUM:
        most = f", at most {validate.MAXIMUM[field]}" if field in validate.MAXIMUM else ""
        return f"at least {validate.MINIMUM[field]}{most}"
    if field in validate.POSITIVE:
        return "above 0"
    if field in validate.UNIT_INTERVAL:
        return "0 to 1"
    if field in validate.OPEN_UNIT_INTERVAL:
        return "between 0 and 1"
    return ""


def format_value(value: Any) -> str:
    """Returns a value as code: lists with commas, an empty text or list as `""` and `()`."""
    if isinstance(value, list | tuple) and any("," in str(item) for item in value):
        return ", ".join(f"`{item}`" for item in value)
    if isinstance(value, list | tuple):
        text = ", ".join(map(str, value)) or "()"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else '`""`'


def escape_cell(text: str) -> str:
    """Makes a text fit into a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def start_sentence(comment: str) -> str:
    """Begins a comment with a capital letter, unless it begins with a value or a formula."""
    begins_with_word = re.match(r"[a-z]{2,} (?!\(|\|)", comment)
    return comment[0].upper() + comment[1:] if begins_with_word else comment


def format_fields() -> str:
    """Returns one table for each group of fields."""
    values, group, parts = flatten_config(default()), None, []
    header = "| field | default | meaning | valid |\n|---|---|---|---|\n"
    for name, field in read_fields():
        if name != group:
            group = name
            heading = (
                f"`{group}`: {GROUPS[group][0].lower()}{GROUPS[group][1:]}" if group else GROUPS[""]
            )
            parts.append(f"\n## {heading}\n\n{header}")
        if field.note:
            parts.append(f"\n{field.note}\n\n{header}")
        full_name = f"{group}.{field.name}" if group else field.name
        valid = describe_valid_values(full_name, field.comment)
        cells = (
            f"`{full_name}`", format_value(values.pop(full_name)), start_sentence(field.comment), valid,
        )  # fmt: skip
        parts.append(f"| {' | '.join(map(escape_cell, cells))} |\n")
    if values:
        raise ValueError(f"fields without a row: {', '.join(values)}")
    return "".join(parts)


def load_variants(path: pathlib.Path) -> dict[str, ml_collections.ConfigDict]:
    """Returns variant -> config of a config file; the variant "" comes first.

    A config names its variants when it refuses an unknown one.
    """
    get_config = runpy.run_path(str(path))["get_config"]
    try:
        get_config("nonsense")
    except UserError as refusal:
        _, _, listed = str(refusal).partition("valid: ")
    return {variant: get_config(variant) for variant in ("", *filter(None, listed.split(", ")))}


def format_differences(config: ml_collections.ConfigDict, base: ml_collections.ConfigDict) -> str:
    """Returns a table of the fields in which a config differs from another one."""
    flat, flat_base = flatten_config(config), flatten_config(base)
    rows = [
        f"| `{field}` | {escape_cell(format_value(value))} |\n"
        for field, value in flat.items()
        if value != flat_base[field] and field != "name"
    ]
    return "| field | value |\n|---|---|\n" + "".join(rows) if rows else ""


def compare(title: str, config: ml_collections.ConfigDict, base: ml_collections.ConfigDict) -> str:
    """Returns a sentence about a config and what distinguishes it from another one."""
    table = format_differences(config, base)
    if not table:
        return f"\n{title} has the same values as `{base.name}`.\n"
    return f"\n{title} differs from `{base.name}` in:\n\n{table}"


def format_configs() -> str:
    """Returns a section for each shipped config, and a table for each of its variants."""
    parts = [CONFIGS_INTRODUCTION]
    # The config `folder` explains features where their weights are installed, which the page assumes.
    with mock.patch.object(data_package, "is_installed", return_value=True):
        for path in sorted((ROOT / "configs").glob("*.py")):
            (_, config), *variants = load_variants(path).items()
            parts.append(f"\n### `{path.stem}`\n")
            link = f"[{path.name}](../configs/{path.name})"
            is_default = config.name == default().name
            text = f"\n{link} is the default.\n" if is_default else compare(link, config, default())
            parts.append(text)
            for variant, changed in variants:
                parts.append(compare(f"`{path.name}:{variant}`", changed, config))
    return "".join(parts)


def make_reference() -> str:
    """Returns the whole page."""
    return INTRODUCTION + format_fields() + format_configs()


if __name__ == "__main__":
    PAGE.write_text(make_reference(), encoding="utf-8")
