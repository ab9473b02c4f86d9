"""Checkpoints through Orbax: the latest state and the best one are kept.

A checkpoint holds three items: `state` (arrays), `data` (JSON: the dataset and the number of completed
epochs) and `config` (JSON). The order of the images within an epoch follows from the seed, so it is not
stored.
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

# Key of the distortion in the metrics of a checkpoint. Its name dates from before the loss had a spectral
# term, when the distortion was the reconstruction term; it stays, because existing checkpoints contain it.
_DISTORTION_KEY = "reconstruction"


def _get_distortion(metrics: dict) -> float:
    return metrics[_DISTORTION_KEY]


class Checkpoints:
    """The checkpoints of one workdir; a context manager that waits for the last save when it closes.

    If training runs in several processes, all of them must make the same calls: the first one saves and
    restores, and sends what it restored to the others.

    Args:
        directory: folder of the checkpoints.
    """

    def __init__(self, directory: pathlib.Path):
        self._directory = directory.absolute()
        self._manager = self._open() if processes.is_first() else None

    def _open(self) -> ocp.CheckpointManager:
        # Orbax does not create the folder if it knows of one process only.
        self._directory.mkdir(parents=True, exist_ok=True)
        return ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(
                    [
                        checkpoint_managers.LatestN(1),
                        checkpoint_managers.BestN(
                            get_metric_fn=_get_distortion,
                            reverse=True,
                            n=1,
                            keep_checkpoints_without_metrics=False,
                        ),
                    ]
                ),
                # Without the next two options Orbax stores no metrics, and the policy above needs them.
                best_fn=_get_distortion,
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
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._manager:
            self._manager.wait_until_finished()
            self._manager.close()

    def latest_step(self) -> int | None:
        """Returns the step of the newest checkpoint; None if there is no checkpoint."""
        return processes.compute_on_first(lambda: self._manager.latest_step())

    def best_step(self) -> int | None:
        """Returns the step with the lowest distortion in validation; None if no state was validated."""
        return processes.compute_on_first(lambda: self._manager.best_step())

    def save(self, state: TrainState, data: dict, config: dict, distortion: float | None) -> None:
        """Saves a checkpoint in the background; a step that is already saved is skipped.

        Args:
            state: state to save.
            data: JSON values that describe the dataset and the number of completed epochs.
            config: resolved config of the run.
            distortion: loss of the validation images without KL, by which the best checkpoint is chosen;
                None if this state may not be the best.
        """
        step = int(state.step)
        if self._manager is None or step in self._manager.all_steps():
            return
        # The arrays are copied to the host for two reasons: the next training call reuses the memory of
        # this state while the save still reads it, and arrays without a device can be restored on any
        # device.
        state = jax.tree.map(np.array, jax.device_get(state))
        metrics = None if distortion is None else {_DISTORTION_KEY: distortion}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=ocp.args.JsonSave(data),
                config=ocp.args.JsonSave(config),
            ),
            metrics=metrics,
        )

    def restore(self, step: int, template: TrainState) -> tuple[TrainState, dict]:
        """Restores the state of a step, and the item `data` that was saved with it.

        Args:
            step: step that `latest_step` or `best_step` returned.
            template: a state with the shapes and dtypes of the saved one.

        Raises:
            UserError: if the checkpoint is damaged.
        """
        template = jax.tree.map(
            lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.device_get(template)
        )

        def read():
            state, data = self._read_items(step, ocp.args.StandardRestore(template))
            return {"state": flax.serialization.to_state_dict(state), "data": data}

        items = processes.compute_on_first(read)
        state = flax.serialization.from_state_dict(template, items["state"])
        return jax.tree.map(jnp.asarray, state), items["data"]

    def restore_params(self, step: int) -> tuple[dict, dict]:
        """Restores only the parameters, as NumPy arrays, and the item `data` that was saved with them.

        Args:
            step: step that `latest_step` or `best_step` returned.

        Raises:
            UserError: if the checkpoint is damaged.
        """

        def read():
            state, data = self._read_items(step, ocp.args.StandardRestore())
            return {"params": state["params"], "data": data}

        items = processes.compute_on_first(read)
        return items["params"], items["data"]

    def _read_items(self, step: int, state: ocp.args.CheckpointArgs) -> tuple[Any, dict]:
        _ignore_orphaned_reads()
        try:
            items = self._manager.restore(
                step, args=ocp.args.Composite(state=state, data=ocp.args.JsonRestore())
            )
        except Exception as error:
            # Orbax has no exception of its own for a missing or truncated file; it raises many types.
            reason = " ".join(str(error).split())[:160]
            other_steps = [other for other in self._manager.all_steps() if other != step]
            remedy = "train into another --workdir"
            if other_steps:
                latest = max(other_steps)
                remedy = f"delete that folder to continue from step {latest}, or {remedy}"
            raise UserError(
                f"checkpoint {self._directory / str(step)} is damaged, or of another version of vae_jax "
                f"({type(error).__name__}: {reason}); {remedy}"
            ) from error
        return items.state, items.data


@functools.cache
def _ignore_orphaned_reads() -> None:
    """Suppresses messages of reads that still run when another read of the same checkpoint has failed.

    Orbax closes the event loop of these reads. Each of them then prints a traceback, after the error itself
    was reported.
    """
    previous_hook = sys.unraisablehook

    def hook(event):
        if "Event loop is closed" not in str(event.exc_value):
            previous_hook(event)

    sys.unraisablehook = hook


def load_best_params(workdir: pathlib.Path, fingerprint: str) -> dict:
    """Returns the parameters of a run's best checkpoint, and warns if the data has changed since training.

    Args:
        workdir: workdir of the run.
        fingerprint: fingerprint of the data that the parameters will be used with.

    Raises:
        UserError: if the workdir holds no checkpoint of a validated epoch, or the checkpoint is damaged.
    """
    with Checkpoints(workdir / "checkpoints") as checkpoints:
        step = checkpoints.best_step()
        if step is None:
            raise UserError(f"{workdir} holds no checkpoint of a validated epoch; train it first")
        params, data = checkpoints.restore_params(step)
    if data["fingerprint"] != fingerprint:
        log.warning(
            "the data differs from the data that this model was trained on "
            "(fingerprint %s in training, %s now)",
            data["fingerprint"], fingerprint,
        )  # fmt: skip
    return params
