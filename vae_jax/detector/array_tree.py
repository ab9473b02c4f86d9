"""Trees of arrays as one dict of arrays, whose names are paths, and as the content of an .npz file.

The array `kernel` of `{"params": {"Conv_0": {"kernel": ...}}}` has the name `params/Conv_0/kernel`.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vae_jax.runtime.zip_files import read_arrays

SEPARATOR = "/"
_EMPTY = "{}"  # marks a dict without entries

Tree = dict[str, Any]  # name -> array, or another tree


def flatten_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arrays of a tree by their paths; a dict without entries becomes an empty array."""
    return dict(_list_arrays(tree, ""))


def nest_arrays(arrays: Mapping[str, Any]) -> Tree:
    """Returns the tree that `flatten_tree` has flattened."""
    tree: Tree = {}
    for path, array in arrays.items():
        *folders, name = path.split(SEPARATOR)
        inner = tree
        for folder in folders:
            inner = inner.setdefault(folder, {})
        if name != _EMPTY:
            inner[name] = array
    return tree


def pack_tree(tree: Mapping[str, Any]) -> bytes:
    """Returns the content of an .npz file with the arrays of a tree."""
    stream = io.BytesIO()
    np.savez(stream, **{path: np.asarray(array) for path, array in flatten_tree(tree).items()})
    return stream.getvalue()


def unpack_tree(content: bytes) -> Tree:
    """Returns the tree that `pack_tree` has packed.

    Raises:
        ValueError: if the content is damaged, or unpacks to too many bytes.
    """
    return nest_arrays(read_arrays(content))


def _list_arrays(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        path = f"{prefix}{SEPARATOR}{name}" if prefix else name
        if not isinstance(value, Mapping):
            yield path, value
        elif value:
            yield from _list_arrays(value, path)
        else:
            yield f"{path}{SEPARATOR}{_EMPTY}", np.empty(0, np.float32)
