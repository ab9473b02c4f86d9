"""Writes the address of the repository into every notebook: python notebooks/write_badges.py

The address is `project.urls.Repository` in pyproject.toml. It is in the badge of the first cell, which
opens the notebook in Colab, and in the cell that installs the package there. A test compares both with it.
"""

import json
import pathlib
import re
import tomllib

FOLDER = pathlib.Path(__file__).parent
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
COLAB = "https://colab.research.google.com/github"


def read_repository() -> str:
    """Returns the address of the repository, without a slash at its end."""
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"].rstrip("/")


def set_repository(text: str, name: str, repository: str) -> str:
    """Returns the text of a notebook with another address.

    Args:
        text: content of the file, JSON.
        name: name of the file.
        repository: address of the repository, for example https://github.com/OWNER/vae_jax.

    Raises:
        ValueError: if the notebook lacks the badge or the address.
    """
    owner_and_name = repository.removeprefix("https://github.com/")
    badge = f"[![Open in Colab]({BADGE})]({COLAB}/{owner_and_name}/blob/main/notebooks/{name})"
    notebook = json.loads(text)
    title, install = notebook["cells"][:2]
    for cell, pattern, line in (
        (title, r"\[!\[Open in Colab\].*", badge),
        (install, r'REPOSITORY = "[^"]*"', f'REPOSITORY = "{repository}"'),
    ):
        source, count = re.subn(pattern, lambda _, line=line: line, "".join(cell["source"]))
        if count != 1:
            raise ValueError(f"{name}: {count} matches of {pattern} in its first two cells, not 1")
        cell["source"] = source.splitlines(keepends=True)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def write_badges() -> None:
    """Writes the address into all notebooks of the folder."""
    repository = read_repository()
    for path in sorted(FOLDER.glob("*.ipynb")):
        path.write_text(
            set_repository(path.read_text("utf-8"), path.name, repository), encoding="utf-8"
        )


if __name__ == "__main__":
    write_badges()
