"""One epoch of training: the images of each step, the steps themselves, and the means of their metrics."""

import dataclasses
import logging
import math
import pathlib
import time
from collections.abc import Callable, Iterator

import ml_collections
import numpy as np
from jaxtyping import Int32

from vae_jax.errors import UserError
from vae_jax.runtime.memory import measure_peak_memory_bytes
from vae_jax.training.epoch_part import EpochPart
from vae_jax.training.nonfinite import check_metrics
from vae_jax.training.pace import Pace
from vae_jax.training.parallel import Plan, RunSteps
from vae_jax.training.placement import Placement
from vae_jax.training.plans import make_plans, roll_plan, skip_steps, take_steps
from vae_jax.training.state import TrainState
from vae_jax.training.step import TracedHyperparameters
from vae_jax.validate_model import MAX_INTEGER

# Metrics that are means over images.
_TERMS = ("reconstruction", "frequency", "kl", "loss", "gradient_norm")

_log = logging.getLogger(__name__)


def extend_epochs(config: ml_collections.ConfigDict, num_images: int) -> ml_collections.ConfigDict:
    """Returns the config with as many epochs as `train.min_steps` needs, if these are more.

    All schedules that count in epochs become longer by the same factor.

    Args:
        config: resolved config of the run.
        num_images: number of training images.

    Raises:
        UserError: if there are more steps than JAX can count.
    """
    steps_per_epoch = math.ceil(num_images / config.train.batch_size)
    epochs = max(config.train.epochs, math.ceil(config.train.min_steps / steps_per_epoch))
    _check_steps("train.epochs", epochs, steps_per_epoch)
    if epochs > config.train.epochs:
        _log.info(
            "train.min_steps is %d, so train.epochs is raised from %d to %d",
            *(config.train.min_steps, config.train.epochs, epochs),
        )
    factor = epochs / config.train.epochs
    config = config.copy_and_resolve_references()
    config.train.epochs = epochs
    config.train.warmup_epochs *= factor
    _check_steps("train.warmup_epochs", config.train.warmup_epochs, steps_per_epoch)
    config.objective.beta_warmup *= factor
    config.objective.beta_cycle *= factor
    return config


def _check_steps(field: str, epochs: int | float, steps_per_epoch: int) -> None:
    if epochs * steps_per_epoch > MAX_INTEGER:
        most = MAX_INTEGER // steps_per_epoch
        raise UserError(
            f"{field} is {epochs:g}, which are {epochs * steps_per_epoch:g} steps with these training "
            f"images; set it to at most {most}, because JAX counts up to {MAX_INTEGER}"
        )


@dataclasses.dataclass(frozen=True)
class EpochTrainer:
    """Trains on all training images once per call; its attributes stay the same during a run.

    Attributes:
        train_config: the `train` group of the config.
        class_indices: class of each training image; zeros if the model is not conditional.
        run_steps: compiled loop over steps, from `parallel.make_run_steps`.
        placement: the training images and where they are stored.
        hyperparameters: traced hyperparameters of the run.
        checkpoint_folder: folder of the checkpoints, which an error names.
    """

    train_config: ml_collections.ConfigDict
    class_indices: Int32[np.ndarray, "N"]
    run_steps: RunSteps
    placement: Placement
    hyperparameters: TracedHyperparameters
    checkpoint_folder: pathlib.Path

    pace: Pace = dataclasses.field(default_factory=Pace)

    def train(
        self,
        state: TrainState,
        epoch: int,
        on_images: Callable[[int], object],
        part: EpochPart | None = None,
        is_stopping: Callable[[], object] = lambda: False,
        last_step: int | None = None,
    ) -> tuple[TrainState, dict[str, float] | EpochPart]:
        """Trains for one epoch, or until training is to stop.

        Args:
            state: state to start from; its memory is donated to the next state.
            epoch: number of completed epochs.
            on_images: function that is called after each call with the number of images in it.
            part: the steps of this epoch that were already made; None if there are none.
            is_stopping: whether to stop; asked after each call.
            last_step: number of updates after which to stop; None for the whole epoch.

        Returns:
            The next state, and the line of the epoch for `metrics.jsonl`, or the part of the epoch if
            training is to stop and steps are left.

        Raises:
            NonFiniteError: if a loss or a gradient is not finite.
        """
        start_seconds, first_step = time.perf_counter(), int(state.step)
        part = part or EpochPart({}, 0.0)
        plans = skip_steps(self.plan(epoch), part.num_steps)
        if last_step is not None:
            plans = take_steps(plans, last_step - first_step)
        state, metrics = run_epoch(
            self.run_steps, self.placement, state, plans, self.hyperparameters, on_images, self.pace,
            is_stopping,
        )  # fmt: skip
        check_metrics(metrics, first_step, self.checkpoint_folder)
        part = part.extend(metrics, time.perf_counter() - start_seconds)
        if part.num_steps < self.steps_per_epoch:
            return state, part
        return state, average_steps(part.metrics) | {
            "images_per_second": len(self.class_indices) / part.seconds,
            "seconds": part.seconds,
            "peak_memory_bytes": measure_peak_memory_bytes(),
        }

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps in a whole epoch."""
        return math.ceil(len(self.class_indices) / self.train_config.batch_size)

    def plan(self, epoch: int) -> Iterator[tuple[Plan, int]]:
        """Yields the plans of an epoch, from `make_plans`."""
        return make_plans(
            int(self.hyperparameters.seed), epoch, self.class_indices,
            self.train_config.batch_size, self.train_config.steps_per_call,
        )  # fmt: skip


def run_epoch(
    run_steps: RunSteps,
    placement: Placement,
    state: TrainState,
    plans: Iterator[tuple[Plan, int]],
    hyperparameters: TracedHyperparameters,
    on_images: Callable[[int], object],
    pace: Pace | None = None,
    is_stopping: Callable[[], object] = lambda: False,
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """Runs the plans of one epoch, or the first of their steps if training is to stop.

    Args:
        run_steps: compiled loop over steps, from `parallel.make_run_steps`.
        placement: the training images and where they are stored.
        state: state to start from; its memory is donated to the next state.
        plans: plans of the epoch, from `make_plans`.
        hyperparameters: traced hyperparameters of the run.
        on_images: function that is called after each call with the number of images in it.
        pace: limits the steps of a call; None for one call per plan.
        is_stopping: whether to stop; asked after each call.

    Returns:
        The next state, and the values of each metric, one per step that was made.
    """
    calls = []
    for images, plan, num_steps in placement.feed(plans):
        done = 0
        while done < num_steps and not (calls and is_stopping()):
            start_seconds, left = time.perf_counter(), num_steps - done
            count = pace.limit_steps(left) if pace else left
            call_plan = roll_plan(plan, done)
            state, metrics = run_steps(state, images, call_plan, count, hyperparameters)
            calls.append({name: np.asarray(values)[:count] for name, values in metrics.items()})
            on_images(int(call_plan.mask[:count].sum()))
            done += count
            if pace:
                pace.record(count, time.perf_counter() - start_seconds)
        if is_stopping():
            break
    return state, {name: np.concatenate([call[name] for call in calls]) for name in calls[0]}


def average_steps(metrics: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns the metrics of an epoch from those of its steps.

    Each term is the mean over images: steps are weighted by their number of images that count. `beta` and
    `learning_rate` are those of the last step.
    """
    averaged = {
        name: float(np.average(metrics[name], weights=metrics["count"]))
        for name in _TERMS
        if name in metrics
    }
    return averaged | {name: float(metrics[name][-1]) for name in ("beta", "learning_rate")}
