"""Going back to a checkpoint where training broke, with a lower learning rate (`train.on_nan=rollback`).

The factor is part of the scale of the plateau scheduler, which every update is multiplied by, so the state
holds it. The list of rollbacks is saved beside the state. Everything that follows a checkpoint therefore
follows from the checkpoint, and a run that is stopped and resumed goes back where the run without a stop
does.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from vae_jax.training import checkpoint_files
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
        rate_factor: what the learning rate is multiplied by from then on, by the plateau rule too; 0 in
            checkpoints of earlier versions.
    """

    step: int
    checkpoint: int
    reason: str
    rate_factor: float = 0.0


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


def read_rollbacks(checkpoints: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the rollbacks of a run, in their order, from its newest checkpoint; for `results.json`.

    Args:
        checkpoints: folder of the checkpoints.
    """
    steps = checkpoint_files.list_steps(checkpoints)
    data = checkpoint_files.read_item(checkpoints / str(steps[-1]), "data") if steps else None
    rollbacks = [Rollback(**values) for values in (data or {}).get("rollbacks", ())]
    return [dataclasses.asdict(rollback) for rollback in rollbacks]


def lower_rate(state: TrainState, times: int) -> TrainState:
    """Returns the state with a learning rate that is multiplied by `RATE_FACTOR` so many times."""
    scale = state.plateau.scale * jnp.float32(RATE_FACTOR**times)
    return state.replace(plateau=state.plateau._replace(scale=scale))
