"""Checkpoints through Orbax: the latest state and the best one.

A checkpoint holds three items: `state` (arrays), `data` (JSON: which data, and how many epochs of it have
been seen; the order within an epoch follows from the seed) and `config` (JSON).
"""

import functools
import logging
import pathlib
import sys
from types import TracebackType
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from vae_jax.errors import UserError
from vae_jax.runtime import processes
from vae_jax.training.state import TrainState

log = logging.getLogger(__name__)


# How a checkpoint names it; without a spectral term the two are one.
_DISTORTION = "reconstruction"


def _distortion(metrics: dict) -> float:
    return metrics[_DISTORTION]


class Checkpoints:
    """The checkpoints of one workdir; a context manager, so that the last save is waited for.

    Of several processes the first saves, restores, and tells the others; all of them make each call.
    """

    def __init__(self, directory: pathlib.Path):
        self._directory = directory.absolute()
        self._manager = self._open() if processes.is_first() else None

    def _open(self) -> ocp.CheckpointManager:
        # Orbax does not make it where it is told of one process alone.
        self._directory.mkdir(parents=True, exist_ok=True)
        return ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(
                    [
                        checkpoint_managers.LatestN(1),
                        checkpoint_managers.BestN(
                            get_metric_fn=_distortion,
                            reverse=True,
                            n=1,
                            keep_checkpoints_without_metrics=False,
                        ),
                    ]
                ),
                # Without these two Orbax keeps no metrics for the policy to look at.
                best_fn=_distortion,
                best_mode="min",
                cleanup_tmp_directories=True,
                create=False,
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
                ),
            ),
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._manager:
            self._manager.wait_until_finished()
            self._manager.close()

    def latest(self) -> int | None:
        """Returns the step of the newest checkpoint; None where there is none."""
        return processes.compute_on_first(lambda: self._manager.latest_step())

    def best(self) -> int | None:
        """Returns the step with the lowest distortion in validation; None where none has one."""
        return processes.compute_on_first(lambda: self._manager.best_step())

    def save(self, state: TrainState, data: dict, config: dict, distortion: float | None) -> None:
        """Saves in the background; the loss of validation without its KL decides what is best."""
        step = int(state.step)
        if self._manager is None or step in self._manager.all_steps():
            return
        # A copy on the host: the next training call is given this state's memory while the save is still
        # reading it, and arrays without a device can be restored on any.
        state = jax.tree.map(np.array, jax.device_get(state))
        metrics = None if distortion is None else {_DISTORTION: distortion}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=ocp.args.JsonSave(data),
                config=ocp.args.JsonSave(config),
            ),
            metrics=metrics,
        )

    def restore(self, step: int, like: TrainState) -> tuple[TrainState, dict]:
        """Restores the state of a step, and what is said about its data.

        Args:
            step: one that `latest` or `best` returned.
            like: a state of the same shapes and dtypes.

        Raises:
            UserError: if the checkpoint is damaged.
        """
        like = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.device_get(like))

        def read():
            state, position = self._restore(step, ocp.args.StandardRestore(like))
            return {"state": flax.serialization.to_state_dict(state), "position": position}

        found = processes.compute_on_first(read)
        state = flax.serialization.from_state_dict(like, found["state"])
        return jax.tree.map(jnp.asarray, state), found["position"]

    def restore_params(self, step: int) -> tuple[dict, dict]:
        """Restores the parameters alone, as numpy arrays, and what is said about the data.

        Raises:
            UserError: if the checkpoint is damaged.
        """

        def read():
            state, position = self._restore(step, ocp.args.StandardRestore())
            return {"params": state["params"], "position": position}

        found = processes.compute_on_first(read)
        return found["params"], found["position"]

    def _restore(self, step: int, state: ocp.args.CheckpointArgs) -> tuple[Any, dict]:
        _ignore_orphaned_reads()
        try:
            items = self._manager.restore(
                step, args=ocp.args.Composite(state=state, data=ocp.args.JsonRestore())
            )
        except Exception as error:
            # Orbax raises many types for a file that is missing or cut short, none its own.
            reason = " ".join(str(error).split())[:160]
            others = [other for other in self._manager.all_steps() if other != step]
            mend = f"delete that folder to go on from step {max(others)}, or " if others else ""
            raise UserError(
                f"checkpoint {self._directory / str(step)} is damaged "
                f"({type(error).__name__}: {reason}); {mend}train into another --workdir"
            ) from error
        return items.state, items.data


@functools.cache
def _ignore_orphaned_reads() -> None:
    """Keeps quiet about reads that go on when another one of the same checkpoint has failed.

    Orbax closes its event loop under them; each then complains to nobody, after the error was told.
    """
    tell = sys.unraisablehook

    def hook(event):
        if "Event loop is closed" not in str(event.exc_value):
            tell(event)

    sys.unraisablehook = hook


def load_best_params(workdir: pathlib.Path, fingerprint: str) -> dict:
    """Returns the parameters of a run's best checkpoint, and warns where the data is not that of then.

    Args:
        workdir: of the run.
        fingerprint: of the data that the parameters are to be used with.

    Raises:
        UserError: if the workdir holds none.
    """
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        step = checkpoints.best()
        if step is None:
            raise UserError(f"{workdir} holds no checkpoint of a validated epoch; train it first")
        params, position = checkpoints.restore_params(step)
    if position["fingerprint"] != fingerprint:
        log.warning(
            "the data is not what this model was trained on (fingerprint %s then, %s now)",
            position["fingerprint"], fingerprint,
        )  # fmt: skip
    return params
