"""Where training begins: at the first step or at a checkpoint, and what a checkpoint says about this."""

import dataclasses
import logging
from typing import Any

import jax

from vae_jax.data.examples import Dataset
from vae_jax.errors import UserError
from vae_jax.model.vae import count_params
from vae_jax.runtime import processes
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.epoch_part import EpochPart
from vae_jax.training.placement import LOCATIONS
from vae_jax.training.rollback import Rollback
from vae_jax.training.state import TrainState, create_state
from vae_jax.training_setup import Training

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Start:
    """Where training begins or goes on.

    Attributes:
        state: state to continue from.
        epoch: number of completed epochs.
        part: the steps of the next epoch that were already made; None if there are none.
        rollbacks: the times that training broke and went back to a checkpoint.
    """

    state: TrainState
    epoch: int
    part: EpochPart | None = None
    rollbacks: tuple[Rollback, ...] = ()


def start_or_resume(
    training: Training, checkpoints: Checkpoints, is_rate_free: bool = False
) -> Start:
    """Returns the start of the newest checkpoint; without one, saves the initial state and returns it.

    Args:
        training: what stays the same during the run.
        checkpoints: checkpoints of the run.
        is_rate_free: whether the checkpoint may be of another learning rate.

    Raises:
        UserError: if the run began with other data, or the checkpoints are damaged or of another config.
    """
    start = restore_start(training, checkpoints, is_rate_free)
    if start is None:
        start = Start(create_state(training.recipe, training.config.seed), 0)
        position = describe_position(training.dataset, 0)
        checkpoints.save(start.state, position, training.config.to_dict(), None)
    images = training.dataset.train.images
    log.info(
        "%s: %d training images %dx%dx%d on %s, %s parameters, epoch %d of %d, images %s",
        training.config.name, len(images), *images.shape[1:], _describe_devices(jax.devices()),
        f"{count_params(start.state.params):,}", start.epoch, training.config.train.epochs,
        LOCATIONS[training.trainer.placement.cache],
    )  # fmt: skip
    return start


def restore_start(
    training: Training, checkpoints: Checkpoints, is_rate_free: bool = False
) -> Start | None:
    """Returns the start of the newest whole and finite checkpoint; None if there is none.

    Raises:
        UserError: if the run began with other data, or the checkpoints are damaged or of another config.
    """
    config, dataset = training.config, training.dataset
    template = create_state(training.recipe, config.seed)
    changeable = ("train.learning_rate",) if is_rate_free else ()
    restored = checkpoints.restore_newest(template, config, changeable)
    if restored is None:
        return None
    state, position = restored
    if position["fingerprint"] != dataset.fingerprint:
        raise UserError(
            "the images, masks, groups or region of interest have changed since this run began "
            f"(fingerprint {position['fingerprint']} then, {dataset.fingerprint} now); use another "
            "--workdir, or restore the data"
        )
    part = EpochPart.from_json(position["part"]) if "part" in position else None
    rollbacks = tuple(Rollback(**values) for values in position.get("rollbacks", ()))
    return Start(state, position["epoch"], part, rollbacks)


def describe_position(
    dataset: Dataset, epoch: int, rollbacks: tuple[Rollback, ...] = ()
) -> dict[str, Any]:
    """Returns how far training has come; the order of images within an epoch follows from the seed.

    Args:
        dataset: dataset of the run.
        epoch: number of completed epochs.
        rollbacks: the times that training broke and went back to a checkpoint.
    """
    position = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "epoch": epoch}
    if rollbacks:
        position["rollbacks"] = [dataclasses.asdict(rollback) for rollback in rollbacks]
    return position


def _describe_devices(devices: list[jax.Device]) -> str:
    description = f"{len(devices)} {devices[0].device_kind}"
    if processes.are_several():
        return f"{description} of {jax.process_count()} processes"
    return description
