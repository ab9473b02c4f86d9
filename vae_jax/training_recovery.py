"""What happens where a number of the training is not finite: the layer is named, `train.on_nan` decides.

`stop` ends training with one line. `rollback` goes back to the newest checkpoint, lowers the learning rate
and goes on.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Callable

import jax

from vae_jax.data.batches import Batch, iterate_batches
from vae_jax.errors import UserError
from vae_jax.observation.observed import get_inputs
from vae_jax.runtime import processes
from vae_jax.training import rollback as rollback_lib
from vae_jax.training.break_record import write_break
from vae_jax.training.broken_layer import find_broken_layer
from vae_jax.training.checkpoint import Checkpoints
from vae_jax.training.epoch_part import EpochPart
from vae_jax.training.nonfinite import ADVICE, NonFiniteError, find_nonfinite
from vae_jax.training.plans import skip_steps
from vae_jax.training.rollback import Rollback
from vae_jax.training_setup import Training
from vae_jax.training_start import Start, restore_start

log = logging.getLogger(__name__)


def recover(
    training: Training,
    workdir: pathlib.Path,
    checkpoints: Checkpoints,
    error: NonFiniteError,
    rollbacks: tuple[Rollback, ...],
    is_stopping: Callable[[], object],
) -> Start:
    """Returns where training goes on after it broke.

    All processes find the same numbers, and therefore decide the same.

    Args:
        training: what stays the same during the run.
        workdir: folder of the run.
        checkpoints: checkpoints of the run.
        error: what is not finite.
        rollbacks: the times that training broke before.
        is_stopping: whether training is to stop because of a signal.

    Raises:
        UserError: if `train.on_nan` is stop, or training broke several times in a row. It says in one line
            where the numbers stopped being finite, and what to do.
    """
    start = _restore(training, checkpoints)
    checkpoint = int(start.state.step)
    fault = error.fault
    if place := _find_place(training, start, error, is_stopping):
        fault += f", first in {place}"
    config = training.config.train
    rate = config.learning_rate
    new = Rollback(error.step, checkpoint, fault)
    in_row = rollback_lib.count_in_row((*rollbacks, new), checkpoint)
    stays = f"the last finite checkpoint, step {checkpoint}, stays in {workdir / 'checkpoints'}"
    if config.on_nan == "stop":
        _stop(
            workdir, error.step,
            f"{fault}; {stays}. The same command goes on from there with a lower rate, such as "
            f"--config.train.learning_rate={rate / 10:g}, or with --config.train.on_nan=rollback, which "
            f"lowers it by itself; or train into another --workdir with {ADVICE}",
        )  # fmt: skip
    if in_row >= rollback_lib.MAX_IN_ROW:
        _stop(
            workdir, error.step,
            f"{fault}; training broke {in_row} times in a row, although each rollback multiplied the "
            f"learning rate by {rollback_lib.RATE_FACTOR:g}; {stays}. Look at the named layer and images; "
            "the same --workdir accepts a lower rate, such as "
            f"--config.train.learning_rate={rate / 100:g}; or train into another --workdir with {ADVICE}",
        )  # fmt: skip
    start = _restore(training, checkpoints)  # the pass that found the place has used the state
    times = len(rollbacks) + 1 - len(start.rollbacks)
    state = rollback_lib.lower_rate(start.state, times)
    new = dataclasses.replace(new, rate_factor=float(state.plateau.scale))
    rollbacks = (*rollbacks, new)
    log.warning(
        "%s; training goes back to step %d with %g times the learning rate (rollback %d, number %d in a "
        "row; it stops at %d)",
        fault, checkpoint, float(state.plateau.scale), len(rollbacks), in_row, rollback_lib.MAX_IN_ROW,
    )  # fmt: skip
    return dataclasses.replace(start, state=state, rollbacks=rollbacks)


def _restore(training: Training, checkpoints: Checkpoints) -> Start:
    start = restore_start(training, checkpoints, is_rate_free=True)
    if start is None:
        raise RuntimeError("training began without a checkpoint")
    return start


def _stop(workdir: pathlib.Path, step: int, message: str) -> None:
    if processes.is_first():
        write_break(workdir, step, message)
    raise UserError(message)


def _find_place(
    training: Training, start: Start, error: NonFiniteError, is_stopping: Callable[[], object]
) -> str:
    """Returns the first place where the numbers are not finite; "" if it is not found."""
    if error.params is not None:
        return processes.compute_on_first(lambda: _find_place_after_step(training, error))
    state, position = _repeat_steps(training, start, error.step, is_stopping)
    if int(state.step) != error.step:
        return ""  # a signal has come

    def find():
        epoch, num_steps = position
        plan = next(skip_steps(training.trainer.plan(epoch), num_steps))[0]
        plan = jax.tree.map(lambda array: array[0], plan)
        examples = training.dataset.train
        images = get_inputs(examples)[plan.rows]
        batch = Batch(images, plan.index, plan.mask, plan.class_index)
        names = [examples.names[row % len(examples)] for row in plan.rows]
        params = jax.device_get(state.params)
        hyperparameters = training.trainer.hyperparameters
        return find_broken_layer(training.recipe, params, batch, hyperparameters, error.step, names)

    return processes.compute_on_first(find)


def _find_place_after_step(training: Training, error: NonFiniteError) -> str:
    """Looks at parameters whose validation was not finite, or that were to be saved."""
    params = jax.device_get(error.params)
    if path := find_nonfinite(params):
        return f"the parameter {path}"
    recipe = dataclasses.replace(training.recipe, augmentation=lambda images, keys: images)
    examples = training.dataset.val
    batch_size = min(training.config.train.batch_size, len(examples))
    for i, batch in enumerate(iterate_batches(get_inputs(examples), batch_size)):
        names = examples.names[i * batch_size :]
        hyperparameters = training.trainer.hyperparameters
        place = find_broken_layer(recipe, params, batch, hyperparameters, error.step, names)
        if place:
            return place
    return ""


def _repeat_steps(
    training: Training, start: Start, step: int, is_stopping: Callable[[], object]
) -> tuple:
    """Repeats training from a checkpoint up to a step; its numbers are the same as the first time.

    Returns:
        The state before the step, and the position of the step: its epoch, and its number in the epoch.
    """
    trainer, validator = training.trainer, training.validator
    state, epoch, part = start.state, start.epoch, start.part
    while int(state.step) < step:
        state, line = trainer.train(state, epoch, lambda _: None, part, is_stopping, last_step=step)
        if isinstance(line, EpochPart):
            break
        epoch, part = epoch + 1, None
        if validator.is_due(epoch):
            state, _ = validator.validate(state, epoch, line)
    return state, divmod(step, trainer.steps_per_epoch)
