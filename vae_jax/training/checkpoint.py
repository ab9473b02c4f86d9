"""Checkpoints through Orbax: the two latest states and the best one are kept.

A checkpoint holds three items: `state` (arrays), `data` (JSON: the dataset and the number of completed
epochs) and `config` (JSON). The order of the images within an epoch follows from the seed, so it is not
stored. `checkpoint_files.py` notices damage; training then continues from the newest whole checkpoint.
"""

import functools
import pathlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

from vae_jax.config_differences import list_differences
from vae_jax.errors import UserError
from vae_jax.runtime import processes
from vae_jax.training import checkpoint_files as files_lib
from vae_jax.training.checkpoint_failures import (
    check_writable,
    explain_failures,
    ignore_orphaned_reads,
    make_damage_error,
)
from vae_jax.training.checkpoint_files import DISTORTION_KEY
from vae_jax.training.checkpoint_manager import make_manager
from vae_jax.training.checkpoint_recovery import read_newest
from vae_jax.training.state import TrainState


class Checkpoints:
    """The checkpoints of one workdir; a context manager that waits for the last save when it closes.

    If training runs in several processes, all of them must make the same calls: the first one saves and
    restores, and sends what it restored to the others.

    Args:
        directory: folder of the checkpoints.
        read_only: whether this object leaves the folder as it is.
    """

    def __init__(self, directory: pathlib.Path, read_only: bool = False):
        self._directory = directory.absolute()
        self._read_only = read_only

    @functools.cached_property
    def _manager(self) -> ocp.CheckpointManager:
        """Orbax's manager, in the first process. It reads the metrics of all checkpoints when it opens."""
        return make_manager(self._directory, self._read_only)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if "_manager" not in self.__dict__:
            return
        try:
            self._wait()
            with explain_failures(self._directory):
                self._manager.close()
        except UserError:
            if not isinstance(error, UserError):  # the first failure is the one to report
                raise

    def _wait(self) -> None:
        """Waits for the last save."""
        if "_manager" in self.__dict__:
            with explain_failures(self._directory):
                self._manager.wait_until_finished()

    def latest_step(self) -> int | None:
        """Returns the step of the newest checkpoint; None if there is no checkpoint."""
        return processes.compute_on_first(
            lambda: max(files_lib.list_steps(self._directory), default=None)
        )

    def best_step(self) -> int | None:
        """Returns the step with the lowest distortion in validation; None if no state was validated.

        Raises:
            UserError: if a damaged file leaves open which step is the best one.
        """
        return processes.compute_on_first(lambda: files_lib.read_best_step(self._directory))

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
        if not processes.is_first() or step in self._manager.all_steps():
            return
        # The arrays are copied to the host for two reasons: the next training call reuses the memory of
        # this state while the save still reads it, and arrays without a device can be restored on any
        # device.
        state = jax.tree.map(np.array, jax.device_get(state))
        metrics = None if distortion is None else {DISTORTION_KEY: distortion}
        with explain_failures(self._directory):
            check_writable(self._directory)
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
        template = _make_template(template)
        items = processes.compute_on_first(lambda: self._read_state(step, template))
        return _unpack(items, template)

    def restore_newest(
        self,
        template: TrainState,
        config: ml_collections.ConfigDict,
        changeable: Sequence[str] = (),
    ) -> tuple[TrainState, dict] | None:
        """Restores the newest whole checkpoint; names newer ones that are damaged, and renames them.

        Args:
            template: a state with the shapes and dtypes of the saved one.
            config: config of the run, which the config in the checkpoint must equal.
            changeable: fields of the config that may differ.

        Returns:
            The state and the item `data`; None if there is no checkpoint of a run that took a step.

        Raises:
            UserError: if all checkpoints are damaged, or the newest whole one is of another config.
        """
        template = _make_template(template)

        def read():
            self._wait()
            items = read_newest(
                self._directory, config, changeable, lambda step: self._read_state(step, template)
            )
            if items:
                self._manager.reload()
            return items

        items = processes.compute_on_first(read)
        return _unpack(items, template) if items else None

    def restore_params(
        self, step: int, read_config: Callable[[], ml_collections.ConfigDict] | None = None
    ) -> tuple[dict, dict]:
        """Restores only the parameters, as NumPy arrays, and the item `data` that was saved with them.

        Args:
            step: step that `latest_step` or `best_step` returned.
            read_config: () -> config of the run, to compare with the config in the checkpoint; None for no
                check. It is called in the first process only.

        Raises:
            UserError: if the checkpoint is damaged or missing, or if its model is of another config.
        """

        def read():
            folder = self._directory / str(step)
            damage = files_lib.find_damage(folder) if folder.is_dir() else "it is missing"
            if damage:
                raise make_damage_error(folder, damage)
            if read_config:
                stored = files_lib.read_item(folder, "config") or {}
                differences = list_differences(stored, read_config(), model_only=True)
                if differences:
                    raise UserError(
                        f"checkpoint {folder} is of another config than config.json: {differences}; "
                        "restore config.json, or choose another --workdir"
                    )
            state, data = self._read_items(step, ocp.args.StandardRestore())
            return {"params": state["params"], "data": data}

        items = processes.compute_on_first(read)
        return items["params"], items["data"]

    def _read_state(self, step: int, template: TrainState) -> dict:
        folder = self._directory / str(step)
        if damage := files_lib.find_damage(folder):
            raise make_damage_error(folder, damage)
        state, data = self._read_items(step, ocp.args.StandardRestore(template))
        return {"state": flax.serialization.to_state_dict(state), "data": data}

    def read_data(self, step: int) -> dict:
        """Returns only the item `data` that was saved with a step; {} if it cannot be read."""
        folder = self._directory / str(step)
        return processes.compute_on_first(lambda: files_lib.read_item(folder, "data") or {})

    def _read_items(self, step: int, state: ocp.args.CheckpointArgs) -> tuple[Any, dict]:
        ignore_orphaned_reads()
        try:
            items = self._manager.restore(
                step, args=ocp.args.Composite(state=state, data=ocp.args.JsonRestore())
            )
        except Exception as error:
            # Orbax has no exception of its own for a missing or truncated file; it raises many types.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            raise make_damage_error(self._directory / str(step), reason) from error
        return items.state, items.data


def _make_template(state: TrainState) -> TrainState:
    """Returns a state of NumPy arrays with the same shapes and dtypes."""
    return jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.device_get(state))


def _unpack(items: dict, template: TrainState) -> tuple[TrainState, dict]:
    state = flax.serialization.from_state_dict(template, items["state"])
    return jax.tree.map(jnp.asarray, state), items["data"]
