"""Variational autoencoders in JAX and Flax for image anomaly detection.

    from vae_jax import Detector

    predictions = Detector.load("runs/screws").predict("new/")

The names below are imported when they are first used, so that `import vae_jax` does not start JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_jax.detector.detector import Detector as Detector
    from vae_jax.detector.detector import Predictions as Predictions
    from vae_jax.errors import UserError as UserError
    from vae_jax.estimator import VAEDetector as VAEDetector

__version__ = "0.1.0"

# Public name -> the module that defines it.
_PUBLIC = {
    "Detector": "vae_jax.detector.detector",
    "Predictions": "vae_jax.detector.detector",
    "UserError": "vae_jax.errors",
    "VAEDetector": "vae_jax.estimator",
}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
