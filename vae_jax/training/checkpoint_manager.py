"""Orbax's manager of checkpoints, with the options that every run uses: what is kept, and who writes."""

import pathlib

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from vae_jax.training.checkpoint_files import DISTORTION_KEY, DigestedPath


def make_manager(directory: pathlib.Path, read_only: bool) -> ocp.CheckpointManager:
    """Returns the manager, which keeps the two latest checkpoints and the best one.

    It belongs to the first of several processes.

    Args:
        directory: folder of the checkpoints; it is made unless the manager is read-only.
        read_only: whether the manager leaves the folder as it is.
    """
    if not read_only:
        # Orbax does not create the folder if it knows of one process only.
        directory.mkdir(parents=True, exist_ok=True)
    return ocp.CheckpointManager(
        directory,
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
            cleanup_tmp_directories=not read_only,
            create=False,
            read_only=read_only,
            temporary_path_class=DigestedPath,
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
            ),
        ),
    )


def _get_distortion(metrics: dict) -> float:
    return metrics[DISTORTION_KEY]
