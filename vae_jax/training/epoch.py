"""One epoch: which images each step sees, and the steps themselves."""

import math
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Int32

from vae_jax.errors import UserError
from vae_jax.model import noise
from vae_jax.training.parallel import Plan, RunSteps
from vae_jax.training.placement import Placement
from vae_jax.training.state import TrainState
from vae_jax.training.step import TracedHyperparameters

# In the order in which a broken step is told: the first that is not finite is where it broke.
_TERMS = ("reconstruction", "frequency", "kl", "loss", "gradient_norm")


def make_plans(
    seed: int,
    epoch: int,
    class_indices: Int32[np.ndarray, "N"],
    batch_size: int,
    steps_per_call: int,
) -> Iterator[tuple[Plan, int]]:
    """Yields the plan of each call and how many of its steps count.

    Every image comes once; the last batch is padded with the epoch's first image and masked. All plans
    have the same shape, so one compilation serves them all.

    Args:
        seed: of the order.
        epoch: likewise.
        class_indices: class of each training image; zeros where the model is not conditional.
        batch_size: images a step.
        steps_per_call: steps that a plan holds.
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
) -> tuple[TrainState, dict[str, np.ndarray]]:
    """Runs the plans of an epoch.

    Args:
        run_steps: from `parallel.make_run_steps`.
        placement: of the training images.
        state: is donated.
        plans: of the epoch.
        hyperparameters: of the run.
        on_images: is told after each call how many images it saw.

    Returns:
        The next state, and every metric of every step, [steps].
    """
    records = []
    for images, plan, num_steps in placement.feed(plans):
        state, record = run_steps(state, images, plan, num_steps, hyperparameters)
        records.append({name: np.asarray(values)[:num_steps] for name, values in record.items()})
        on_images(int(plan.mask[:num_steps].sum()))
    return state, {name: np.concatenate([r[name] for r in records]) for name in records[0]}


def average_steps(metrics: dict[str, np.ndarray]) -> dict[str, float]:
    """Averages the steps of an epoch by the images that count in each; rates are those of the last."""
    averaged = {
        name: float(np.average(metrics[name], weights=metrics["count"]))
        for name in _TERMS
        if name in metrics
    }
    return averaged | {name: float(metrics[name][-1]) for name in ("beta", "learning_rate")}


def check_finite(metrics: dict[str, np.ndarray], first_step: int, kept: pathlib.Path) -> None:
    """Refuses to go on from a loss that is no number.

    Args:
        metrics: of consecutive steps, [steps]; or of one validation, [1].
        first_step: the step of the first.
        kept: where the last finite checkpoint stays.

    Raises:
        UserError: names the step, the term that broke first, and what to try.
    """
    broken = {
        name: int(np.argmin(np.isfinite(metrics[name])))
        for name in _TERMS
        if name in metrics and not np.isfinite(metrics[name]).all()
    }
    if not broken:
        return
    step = min(broken.values())
    term = next(name for name, at in broken.items() if at == step)
    raise UserError(
        f"training broke at step {first_step + step}: {term} is {metrics[term][step]}. The last finite "
        f"checkpoint stays in {kept}; lower train.learning_rate or train.clip_norm, warm up with "
        "train.warmup_epochs, or raise model.sigma, into another --workdir"
    )
