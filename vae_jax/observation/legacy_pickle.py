"""Reads the arrays of a PyTorch file in the old format (before version 1.6) without PyTorch.

Such a file is a pickle, and a pickle can run any code. Three rules make reading it safe:

- Nothing is parsed before the SHA-256 of the whole file is the expected one.
- The unpickler knows four names. They stand for objects of this module that only record sizes, and every
  other name is refused. None of PyTorch's code is needed or called.
- What the pickle says about an array (storage, offset, shape, strides) is checked before it is used.

The file consists of five pickles (a magic number, the version of the format, the sizes of C types, the
arrays without their numbers, the keys of the storages) and then, for each key, the count of its numbers
(8 bytes) and the numbers.
"""

import hashlib
import io
import math
import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def read_state(content: bytes, digest: str) -> dict[str, np.ndarray]:
    """Returns the arrays of a state dict by name.

    Args:
        content: the bytes of the file.
        digest: the SHA-256 that the file must have, in hexadecimal digits.

    Raises:
        ValueError: if the file has another SHA-256, names anything but arrays, or is not in this format.
    """
    actual = hashlib.sha256(content).hexdigest()
    if actual != digest:
        raise ValueError(f"its SHA-256 is {actual} instead of {digest}")
    file = io.BytesIO(content)
    try:
        magic, version, _ = (_Unpickler(file).load() for _ in range(3))
        if (magic, version) != (_MAGIC, _VERSION):
            raise ValueError("it is not in PyTorch's old format")
        state, keys = _Unpickler(file).load(), _Unpickler(file).load()
    except (pickle.UnpicklingError, EOFError, TypeError, AttributeError, LookupError) as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if not isinstance(state, dict) or not all(isinstance(t, _Tensor) for t in state.values()):
        raise ValueError("it holds other objects than a dict of arrays")
    storages = _read_storages(file, state, keys)
    return {name: _view(tensor, storages[tensor.storage]) for name, tensor in state.items()}


class _Storage(NamedTuple):
    """A flat array of the file: its key, the format of its numbers, and their count."""

    key: str
    dtype: str
    count: int


class _Tensor(NamedTuple):
    """An array that looks at a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _State(dict):
    """Stands for an ordered dict; the attributes that a pickle sets on it are dropped."""

    __slots__ = ()

    def __setstate__(self, attributes: Any) -> None:
        pass


# The pickle gets instances of the following classes. They have no attributes that it could change.


class _MakeState:
    __slots__ = ()

    def __call__(self) -> _State:
        return _State()


class _MakeTensor:
    __slots__ = ()

    def __call__(self, storage, offset, shape, strides, requires_grad=False, hooks=None) -> _Tensor:
        del requires_grad, hooks  # both concern training
        counts = [offset, *_check_tuple(shape), *_check_tuple(strides)]
        if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in counts):
            raise pickle.UnpicklingError("an array has a wrong storage, offset, shape or stride")
        if len(shape) != len(strides):
            raise pickle.UnpicklingError("an array has another number of strides than of axes")
        return _Tensor(storage, offset, shape, strides)


class _NumberFormat:
    __slots__ = ("dtype",)

    def __init__(self, dtype: str):
        object.__setattr__(self, "dtype", dtype)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


_ALLOWED = {
    ("collections", "OrderedDict"): _MakeState(),
    ("torch._utils", "_rebuild_tensor_v2"): _MakeTensor(),
    ("torch", "FloatStorage"): _NumberFormat("<f4"),
    ("torch", "LongStorage"): _NumberFormat("<i8"),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which is not part of an array"
            ) from None

    def persistent_load(self, pid: Any) -> _Storage:
        if type(pid) is not tuple or len(pid) != 6:
            raise pickle.UnpicklingError("a persistent id does not describe a storage")
        kind, number_format, key, device, count, view = pid
        if (
            kind != "storage"
            or not isinstance(number_format, _NumberFormat)
            or type(key) is not str
            or device != "cpu"
            or type(count) is not int
            or count < 0
            or view is not None
        ):
            raise pickle.UnpicklingError("a persistent id does not describe a storage")
        return _Storage(key, number_format.dtype, count)


def _check_tuple(numbers: Any) -> tuple:
    if type(numbers) is not tuple:
        raise pickle.UnpicklingError("the shape or the strides of an array are not a tuple")
    return numbers


def _read_storages(
    file: io.BytesIO, state: dict[str, _Tensor], keys: Sequence[str]
) -> dict[_Storage, np.ndarray]:
    """Returns storage -> its numbers; `file` stands behind the last pickle."""
    by_key = {tensor.storage.key: tensor.storage for tensor in state.values()}
    if type(keys) is not list or sorted(map(str, keys)) != sorted(by_key):
        raise ValueError("its list of storages does not fit its arrays")
    storages = {}
    for key in keys:
        storage = by_key[key]
        if int.from_bytes(file.read(8), "little") != storage.count:
            raise ValueError(f"storage {key} has another length than its arrays say")
        num_bytes = storage.count * np.dtype(storage.dtype).itemsize
        numbers = file.read(num_bytes)
        if len(numbers) != num_bytes:
            raise ValueError("it ends too early")
        storages[storage] = np.frombuffer(numbers, storage.dtype)
    return storages


def _view(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    """Returns a copy of the array that a tensor describes, in the order of its axes."""
    if math.prod(tensor.shape) == 0:
        return np.zeros(tensor.shape, numbers.dtype)
    last = tensor.offset + sum(
        (n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True)
    )
    if last >= len(numbers):
        raise ValueError("an array reaches beyond its storage")
    strides = [s * numbers.itemsize for s in tensor.strides]
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, strides, writeable=False
    )
    return np.array(view, order="C")
