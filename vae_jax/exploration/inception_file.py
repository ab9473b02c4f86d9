"""Reads Inception-v3 weights from a local file: NumPy's .npz or .safetensors, never pickle.

The arrays have PyTorch's names. The following line makes such a file from the `state_dict` of torchvision
or pytorch-fid:

    numpy.savez("inception.npz", **{name: value.numpy() for name, value in state_dict.items()})
"""

import json
import pathlib
import struct

import numpy as np

from vae_jax.errors import UserError
from vae_jax.metrics import inception
from vae_jax.runtime.zip_files import read_arrays

# Number formats of safetensors -> NumPy. Weights are floating-point numbers, so other formats are skipped.
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_ADVICE = "save a state_dict of torchvision or pytorch-fid as .npz or .safetensors"


def read_inception(path: pathlib.Path) -> tuple[inception.Inception, dict]:
    """Returns the network and its parameters.

    Raises:
        UserError: if the file does not exist or does not hold Inception-v3's weights.
    """
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    if not path.is_file():
        raise UserError(
            f"explore.inception: the file {path} does not exist; name a file of Inception-v3 weights "
            f"({' or '.join(readers)}), or leave the field empty to use the features of a small classifier"
        )
    if path.suffix not in readers:
        raise UserError(f"explore.inception: {path} is neither {' nor '.join(readers)}; {_ADVICE}")
    try:
        return inception.read_state(readers[path.suffix](path))
    except (ValueError, KeyError, TypeError, struct.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"explore.inception: {path} does not hold Inception-v3's weights ({reason}); {_ADVICE}"
        ) from error


def _read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    return read_arrays(path.read_bytes())


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a .safetensors file.

    The file consists of the length of the header (8 bytes), the header (JSON: name -> number format,
    shape, offsets), and the numbers of all arrays.
    """
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError(f"its header is a JSON {type(header).__name__} instead of an object")
    numbers = memoryview(content)[8 + length :]
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] in _DTYPES:
            start, end = entry["data_offsets"]
            flat = np.frombuffer(numbers[start:end], _DTYPES[entry["dtype"]])
            arrays[name] = flat.reshape(entry["shape"])
    return arrays
