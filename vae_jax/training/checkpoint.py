"""Checkpoints through Orbax: the two latest states and the best one are kept.

A checkpoint holds three items: `state` (arrays), `data` (JSON: the dataset and the number of completed
epochs) and `config` (JSON). The order of the images within an epoch follows from the seed, so it is not
stored. `checkpoint_files.py` notices damage; training then continues from the newest whole checkpoint.
"""

import contextlib
import functools
import logging
import pathlib
import shutil
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from vae_jax import workdir as workdir_lib
from vae_jax.config_differences import list_differences
from vae_jax.errors import UserError
from vae_jax.runtime import processes
from vae_jax.training import checkpoint_files as files_lib
from vae_jax.training.checkpoint_files import DISTORTION_KEY, DigestedPath
from vae_jax.training.checkpoint_recovery import remove_damaged, set_aside
from vae_jax.training.state import TrainState

log = logging.getLogger(__name__)


# What the messages of TensorStore, which writes the arrays, contain -> the reason.
_SIGNS = {
    "No space left on device": "no space left on device",
    "RESOURCE_EXHAUSTED": "no space left on device, or the quota is used up",
    "quota": "the quota is used up",
    "File too large": "the file is too large",
    "PERMISSION_DENIED": "permission denied",
    "Read-only file system": "read-only file system",
}


def _get_distortion(metrics: dict) -> float:
    return metrics[DISTORTION_KEY]


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
        if not self._read_only:
            # Orbax does not create the folder if it knows of one process only.
            self._directory.mkdir(parents=True, exist_ok=True)
        return ocp.CheckpointManager(
            self._directory,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(
                    [
                        # The second one is there in case the latest is damaged.
                        checkpoint_managers.LatestN(2),
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
                cleanup_tmp_directories=not self._read_only,
                create=False,
                read_only=self._read_only,
                temporary_path_class=DigestedPath,
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
        if "_manager" not in self.__dict__:
            return
        try:
            with self._explain_failures():
                self._manager.wait_until_finished()
                self._manager.close()
        except UserError:
            if not isinstance(error, UserError):  # the first failure is the one to report
                raise

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
        with self._explain_failures():
            self._check_writable()
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    data=ocp.args.JsonSave(data),
                    config=ocp.args.JsonSave(config),
                ),
                metrics=metrics,
            )

    def _check_writable(self) -> None:
        """Raises OSError if no file can be written; Orbax would keep the process waiting for minutes."""
        probe = self._directory / ".writable"
        try:
            probe.mkdir(exist_ok=True)
            (probe / "file").write_bytes(bytes(4096))
        finally:
            shutil.rmtree(probe, ignore_errors=True)

    @contextlib.contextmanager
    def _explain_failures(self) -> Iterator[None]:
        """Turns whatever Orbax raises while it saves, now or in the background, into one line."""
        try:
            yield
        except Exception as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            for sign, meaning in _SIGNS.items():
                if sign in reason:
                    reason = meaning
            raise UserError(
                f"a checkpoint cannot be saved in {self._directory} ({reason[:200]}); the last whole "
                "checkpoint stays, and the same command continues from it when this is corrected"
            ) from error

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
        self, template: TrainState, config: ml_collections.ConfigDict
    ) -> tuple[TrainState, dict] | None:
        """Restores the newest whole checkpoint; names newer ones that are damaged, and renames them.

        Args:
            template: a state with the shapes and dtypes of the saved one.
            config: config of the run, which the config in the checkpoint must equal.

        Returns:
            The state and the item `data`; None if there is no checkpoint of a run that took a step.

        Raises:
            UserError: if all checkpoints are damaged, or the newest whole one is of another config.
        """
        template = _make_template(template)
        items = processes.compute_on_first(lambda: self._read_newest(template, config))
        return _unpack(items, template) if items else None

    def _read_newest(self, template: TrainState, config: ml_collections.ConfigDict) -> dict:
        remove_damaged(self._directory)
        steps = files_lib.list_steps(self._directory)
        errors = []
        for step in reversed(steps):
            stored = files_lib.read_item(self._directory / str(step), "config") or {}
            differences = list_differences(stored, config)
            if differences and step == 0:
                shutil.rmtree(
                    self._directory / "0"
                )  # the initial state, which follows from the config
                return {}
            if differences:
                raise UserError(
                    f"checkpoint {self._directory / str(step)} is of another config: "
                    f"{differences}; choose another --workdir, or use the same values"
                )
            try:
                items = self._read_state(step, template)
            except UserError as error:
                errors.append(error)
                continue
            for damaged in steps[steps.index(step) + 1 :]:
                set_aside(self._directory / str(damaged), "it cannot be read")
            self._manager.reload()
            return items
        if errors:
            raise errors[0]
        return {}

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
                raise _make_damage_error(folder, damage)
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
            raise _make_damage_error(folder, damage)
        state, data = self._read_items(step, ocp.args.StandardRestore(template))
        return {"state": flax.serialization.to_state_dict(state), "data": data}

    def read_data(self, step: int) -> dict:
        """Returns only the item `data` that was saved with a step; {} if it cannot be read."""
        folder = self._directory / str(step)
        return processes.compute_on_first(lambda: files_lib.read_item(folder, "data") or {})

    def _read_items(self, step: int, state: ocp.args.CheckpointArgs) -> tuple[Any, dict]:
        _ignore_orphaned_reads()
        try:
            items = self._manager.restore(
                step, args=ocp.args.Composite(state=state, data=ocp.args.JsonRestore())
            )
        except Exception as error:
            # Orbax has no exception of its own for a missing or truncated file; it raises many types.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
            raise _make_damage_error(self._directory / str(step), reason) from error
        return items.state, items.data


def _make_damage_error(folder: pathlib.Path, reason: str) -> UserError:
    return UserError(
        f"checkpoint {folder} is damaged, or of another version of vae_jax ({reason}); restore it from a "
        "copy, let --mode=train continue from the newest whole checkpoint, or train into another --workdir"
    )


def _make_template(state: TrainState) -> TrainState:
    """Returns a state of NumPy arrays with the same shapes and dtypes."""
    return jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.device_get(state))


def _unpack(items: dict, template: TrainState) -> tuple[TrainState, dict]:
    state = flax.serialization.from_state_dict(template, items["state"])
    return jax.tree.map(jnp.asarray, state), items["data"]


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


def refuse_other_data(workdir: pathlib.Path, fingerprint: str) -> None:
    """Refuses data that differs from the data of a run, because its report would be about other images.

    Args:
        workdir: workdir of the run; without a checkpoint nothing is refused here.
        fingerprint: fingerprint of the data.

    Raises:
        UserError: if the fingerprints differ.
    """
    with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        step = checkpoints.best_step()
        data = {} if step is None else checkpoints.read_data(step)
    trained = data.get("fingerprint", fingerprint)  # who reads the parameters reports damage
    if trained != fingerprint:
        raise UserError(
            f"these are not the images of the run in {workdir} (fingerprint {trained} in training, "
            f"{fingerprint} now), and its report is about those images; judge others with "
            "--mode=evaluate --input=DIR, or name the run's own with --config.data.manual_dir=DIR"
        )


def load_best_params(workdir: pathlib.Path, fingerprint: str) -> dict:
    """Returns the parameters of a run's best checkpoint, and warns if the data has changed since training.

    Args:
        workdir: workdir of the run.
        fingerprint: fingerprint of the data that the parameters will be used with.

    Raises:
        UserError: if the workdir holds no checkpoint of a validated epoch, or if the best one is gone,
            damaged or of another config than config.json.
    """
    # A run that was trained by calls in Python has no config.json.
    has_config = (workdir / "config.json").exists()
    read_config = functools.partial(workdir_lib.read_config, workdir) if has_config else None
    with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        step = checkpoints.best_step()
        if step is None:
            raise UserError(f"{workdir} holds no checkpoint of a validated epoch; train it first")
        params, data = checkpoints.restore_params(step, read_config)
    if data["fingerprint"] != fingerprint:
        log.warning(
            "the data differs from the data that this model was trained on "
            "(fingerprint %s in training, %s now)",
            data["fingerprint"], fingerprint,
        )  # fmt: skip
    return params
