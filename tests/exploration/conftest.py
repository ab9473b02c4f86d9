"""Arrays of Inception weights."""

import numpy as np
import pytest

from vae_jax.metrics import inception


@pytest.fixture(scope="session")
def inception_state():
    """All arrays of a file of Inception weights, small enough to keep activations small."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in inception.compute_state_shapes(1008).items():
        if name.endswith(("running_var", "bn.weight")):
            arrays[name] = np.ones(shape, np.float16)
        elif len(shape) == 1:
            arrays[name] = np.zeros(shape, np.float16)
        else:
            scale = np.sqrt(2 / np.prod(shape[1:]))
            arrays[name] = (scale * rng.standard_normal(shape, np.float32)).astype(np.float16)
    return arrays | {"AuxLogits.fc.weight": np.zeros((2, 3), np.float16)}
