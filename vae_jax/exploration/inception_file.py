"""Inception-v3 weights from a local file: NumPy's .npz or .safetensors, never pickle.

The names of the arrays are PyTorch's. From torchvision's or pytorch-fid's `state_dict`:

    numpy.savez("inception.npz", **{name: value.numpy() for name, value in state_dict.items()})
"""

import json
import pathlib
import struct
import zipfile

import numpy as np

from vae_jax.errors import UserError
from vae_jax.metrics import inception

_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}  # of safetensors; others hold no weights
_HOW = "save a state_dict of torchvision or pytorch-fid as .npz or .safetensors"


def read(path: pathlib.Path) -> tuple[inception.Inception, dict]:
    """Returns the network and its parameters.

    Raises:
        UserError: if there is no such file, or it does not hold Inception-v3's weights.
    """
    readers = {".npz": _npz, ".safetensors": _safetensors}
    if not path.is_file():
        raise UserError(
            f"explore.inception: there is no file {path}; give one of Inception-v3 weights "
            f"({' or '.join(readers)}), or leave it empty for the features of a small classifier"
        )
    if path.suffix not in readers:
        raise UserError(f"explore.inception: {path} is neither {' nor '.join(readers)}; {_HOW}")
    try:
        return inception.from_state(readers[path.suffix](path))
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, struct.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"explore.inception: {path} does not hold Inception-v3's weights ({reason}); {_HOW}"
        ) from error


def _npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads length of the header (8 bytes), header (JSON: name -> dtype, shape, place), numbers."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError(f"its header is a JSON {type(header).__name__} and not an object")
    numbers = memoryview(content)[8 + length :]
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] in _KINDS:
            start, end = entry["data_offsets"]
            flat = np.frombuffer(numbers[start:end], _KINDS[entry["dtype"]])
            arrays[name] = flat.reshape(entry["shape"])
    return arrays
