"""One epoch of training: the images of each step, the steps themselves, and the means of their metrics."""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Int32

from vae_jax import noise
from vae_jax.errors import UserError
from vae_jax.runtime import processes
from vae_jax.runtime.memory import measure_peak_memory_bytes
from vae_jax.training.parallel import Plan, RunSteps
from vae_jax.training.placement import Placement
from vae_jax.training.state import TrainState
from vae_jax.training.step import TracedHyperparameters

_MAX_CALL_SECONDS = 4.0  # longest call; a checkpoint shall be saved ten seconds after a signal

# In the order of computation: the first of them that is not finite shows where a step broke.
_TERMS = ("reconstruction", "frequency", "kl", "loss", "gradient_norm")


def extend_epochs(config: ml_collections.ConfigDict, num_images: int) -> ml_collections.ConfigDict:
    """Returns the config with as many epochs as `train.min_steps` needs, if these are more.

    All schedules that count in epochs become longer by the same factor.

    Args:
        config: resolved config of the run.
        num_images: number of training images.
    """
    steps_per_epoch = math.ceil(num_images / config.train.batch_size)
    epochs = max(config.train.epochs, math.ceil(config.train.min_steps / steps_per_epoch))
    factor = epochs / config.train.epochs
    config = config.copy_and_resolve_references()
    config.train.epochs = epochs
    config.train.warmup_epochs *= factor
    config.objective.beta_warmup *= factor
    config.objective.beta_cycle *= factor
    return config


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

    pace: "Pace" = dataclasses.field(default_factory=lambda: Pace())

    def train(
        self,
        state: TrainState,
        epoch: int,
        on_images: Callable[[int], object],
        part: "EpochPart | None" = None,
        is_stopping: Callable[[], object] = lambda: False,
    ) -> "tuple[TrainState, dict[str, float] | EpochPart]":
        """Trains for one epoch, or until training is to stop.

        Args:
            state: state to start from; its memory is donated to the next state.
            epoch: number of completed epochs.
            on_images: function that is called after each call with the number of images in it.
            part: the steps of this epoch that were already made; None if there are none.
            is_stopping: whether to stop; asked after each call.

        Returns:
            The next state, and the line of the epoch for `metrics.jsonl`, or the part of the epoch if
            training is to stop and steps are left.

        Raises:
            UserError: if a loss or a gradient is not finite.
        """
        start_seconds, first_step = time.perf_counter(), int(state.step)
        part = part or EpochPart({}, 0.0)
        plans = make_plans(
            int(self.hyperparameters.seed), epoch, self.class_indices,
            self.train_config.batch_size, self.train_config.steps_per_call,
        )  # fmt: skip
        state, metrics = run_epoch(
            self.run_steps, self.placement, state, skip_steps(plans, part.num_steps),
            self.hyperparameters, on_images, self.pace, is_stopping,
        )  # fmt: skip
        check_finite(metrics, first_step, self.checkpoint_folder)
        part = part.extend(metrics, time.perf_counter() - start_seconds)
        if part.num_steps < math.ceil(len(self.class_indices) / self.train_config.batch_size):
            return state, part
        return state, average_steps(part.metrics) | {
            "images_per_second": len(self.class_indices) / part.seconds,
            "seconds": part.seconds,
            "peak_memory_bytes": measure_peak_memory_bytes(),
        }


@dataclasses.dataclass(frozen=True)
class EpochPart:
    """The steps of an unfinished epoch.

    Attributes:
        metrics: values of each metric, one per step, float32.
        seconds: time that these steps took.
    """

    metrics: dict[str, np.ndarray]
    seconds: float

    @property
    def num_steps(self) -> int:
        """Number of steps that were made."""
        return len(next(iter(self.metrics.values()), ()))

    def extend(self, metrics: dict[str, np.ndarray], seconds: float) -> "EpochPart":
        """Returns this part followed by further steps."""
        joined = {
            name: np.concatenate([self.metrics.get(name, values[:0]), values])
            for name, values in metrics.items()
        }
        return EpochPart(joined, self.seconds + seconds)

    def to_json(self) -> dict[str, Any]:
        """Returns the part as values for JSON, which holds a float32 exactly."""
        return {
            "seconds": self.seconds,
            "metrics": {name: values.tolist() for name, values in self.metrics.items()},
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "EpochPart":
        """Returns the part that `to_json` has written."""
        metrics = {name: np.array(column, np.float32) for name, column in values["metrics"].items()}
        return cls(metrics, values["seconds"])


class Pace:
    """How many steps a call may have, so that training stops soon after a signal.

    Several processes must make the same calls, so there the number is not limited.
    """

    def __init__(self):
        self._step_seconds: float | None = None
        self._num_calls = 0

    def limit_steps(self, num_steps: int) -> int:
        """Returns the number of steps of the next call, of so many that are left."""
        if processes.are_several():
            return num_steps
        if self._step_seconds is None:
            return 1
        return min(num_steps, max(1, int(_MAX_CALL_SECONDS / self._step_seconds)))

    def record(self, num_steps: int, seconds: float) -> None:
        """Records how long a call took; the first one includes compilation and does not count."""
        self._num_calls += 1
        if self._num_calls > 1:
            self._step_seconds = seconds / num_steps


def skip_steps(plans: Iterator[tuple[Plan, int]], num_steps: int) -> Iterator[tuple[Plan, int]]:
    """Yields the plans of `make_plans` without the first steps."""
    for plan, length in plans:
        if num_steps < length:
            yield _roll(plan, num_steps), length - num_steps
        num_steps = max(0, num_steps - length)


def _roll(plan: Plan, num_steps: int) -> Plan:
    """Returns a plan of the same shape that begins with a later step."""
    if not num_steps:
        return plan
    return jax.tree.map(lambda array: np.roll(array, -num_steps, axis=0), plan)


def make_plans(
    seed: int,
    epoch: int,
    class_indices: Int32[np.ndarray, "N"],
    batch_size: int,
    steps_per_call: int,
) -> Iterator[tuple[Plan, int]]:
    """Yields the plan of each call, and how many of its steps are to be run.

    Every image appears exactly once. The last batch is padded with the first image of the epoch, and the
    padding is masked. All plans have the same shape, so that they share one compiled program.

    Args:
        seed: seed of the run, which determines the order of the images.
        epoch: number of completed epochs, which also determines the order of the images.
        class_indices: class of each training image; zeros if the model is not conditional.
        batch_size: images per step.
        steps_per_call: largest number of steps per plan.
    """
    num_images = len(class_indices)
    order = noise.draw_permutation(seed, epoch, num_images)
    num_steps = math.ceil(num_images / batch_size)
    length = min(steps_per_call, num_steps)
    size = math.ceil(num_steps / length) * length * batch_size
    rows = np.full(size, order[0], np.int32)
    rows[:num_images] = order
    mask = (np.arange(size) < num_images).astype(np.float32)
    rows, mask = (array.reshape(-1, length, batch_size) for array in (rows, mask))
    for call, (call_rows, call_mask) in enumerate(zip(rows, mask, strict=True)):
        plan = Plan(call_rows, call_rows, call_mask, class_indices[call_rows])
        yield plan, min(length, num_steps - call * length)


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
            call_plan = _roll(plan, done)
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


def check_finite(metrics: dict[str, np.ndarray], first_step: int, folder: pathlib.Path) -> None:
    """Raises an error if a metric is NaN or infinite.

    Args:
        metrics: values of each metric for consecutive steps, [steps], or for one validation, [1].
        first_step: number of the first of these steps.
        folder: folder of the checkpoints, which the error names.

    Raises:
        UserError: names the step, the first term that is not finite, and what to try.
    """
    first_broken = {
        name: int(np.argmin(np.isfinite(metrics[name])))
        for name in _TERMS
        if name in metrics and not np.isfinite(metrics[name]).all()
    }
    if not first_broken:
        return
    step = min(first_broken.values())
    term = next(name for name, broken_step in first_broken.items() if broken_step == step)
    raise UserError(
        f"training broke at step {first_step + step}: {term} is {metrics[term][step]}; the last finite "
        f"checkpoint stays in {folder}. Train again into another --workdir with a lower "
        "train.learning_rate or train.clip_norm, a warm-up (train.warmup_epochs), or a higher model.sigma"
    )
