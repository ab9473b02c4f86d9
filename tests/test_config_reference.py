"""The page of config fields is what its script makes from the code."""

import pathlib
import runpy

from vae_jax.config import default
from vae_jax.workdir import flatten_config

ROOT = pathlib.Path(__file__).parents[1]
SCRIPT = runpy.run_path(str(ROOT / "docs/write_config_reference.py"))
PAGE = (ROOT / "docs/configuration.md").read_text("utf-8")


def test_the_page_of_config_fields_is_up_to_date():
    assert SCRIPT["make_reference"]() == PAGE, "run python docs/write_config_reference.py"


def test_every_field_has_a_row_with_a_comment():
    rows = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    comments = {row[0].strip("| `"): row[2] for row in rows if len(row) >= 4}
    assert list(comments) == [
        f"{group}.{field.name}".removeprefix(".") for group, field in SCRIPT["read_fields"]()
    ]
    assert set(comments) == set(flatten_config(default()))
    assert all(comment.strip() for comment in comments.values())


def test_the_page_shows_values_of_shipped_configs():
    _, shipped = PAGE.split("## The shipped configs")
    kvasir = shipped.split("### `kvasir`")[1].split("\n### ")[0]
    assert "| `data.crop` | `0.7` |" in kvasir
    assert "`kvasir.py:tight` differs from `kvasir` in:\n\n| field | value |\n|---|---|\n" in kvasir
    assert "[digits.py](../configs/digits.py) is the default." in shipped
