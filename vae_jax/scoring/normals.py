"""Training normals, for what a score fits on them.

n training normals, Z latent.
"""

import dataclasses
from collections.abc import Callable

import ml_collections
import numpy as np

from vae_jax.model.vae import Posterior


@dataclasses.dataclass(frozen=True)
class Normals:
    """Some training normals; the functions compute once, and only when asked.

    Attributes:
        codes: () -> their posteriors, NumPy [n, Z].
        column: name in `scores.COLUMNS` that needs no fit -> that column, float64 [n].
        settings: the `scoring` group of the config.
        seed: of the run, for fits that draw.
    """

    codes: Callable[[], Posterior]
    column: Callable[[str], np.ndarray]
    settings: ml_collections.ConfigDict
    seed: int
