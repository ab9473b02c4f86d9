"""Going back to a checkpoint where training broke, with a lower learning rate (`train.on_nan=rollback`).

The factor is part of the scale of the plateau scheduler, which every update is multiplied by, so the state
holds it. The list of rollbacks is saved beside the state. Everything that follows a checkpoint therefore
follows from the checkpoint, and a run that is stopped and resumed goes back where the run without a stop
does.
"""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp

from vae_jax.training.state import TrainState

# Factor for the learning rate at each rollback. A power of two loses no bits.
RATE_FACTOR = 0.5
MAX_IN_ROW = 3  # training stops when it breaks this many times without getting past the broken step


@dataclasses.dataclass(frozen=True)
class Rollback:
    """One time that training broke and went back to a checkpoint.

    Attributes:
        step: step that broke.
        checkpoint: step of the checkpoint that training went back to.
        reason: what was not finite.
    """

    step: int
    checkpoint: int
    reason: str


def count_in_row(rollbacks: Sequence[Rollback], checkpoint: int) -> int:
    """Returns how many of the last rollbacks have not been passed.

    A rollback has been passed once there is a checkpoint of a later step than the one that broke.

    Args:
        rollbacks: all rollbacks of the run so far.
        checkpoint: step of the newest checkpoint.
    """
    count = 0
    for rollback in reversed(rollbacks):
        if rollback.step < checkpoint:
            break
        count += 1
    return count


def lower_rate(state: TrainState, times: int) -> TrainState:
    """Returns the state with a learning rate that is multiplied by `RATE_FACTOR` so many times."""
    scale = state.plateau.scale * jnp.float32(RATE_FACTOR**times)
    return state.replace(plateau=state.plateau._replace(scale=scale))
