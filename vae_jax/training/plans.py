"""Which images each step of an epoch sees: the plans of its calls."""

import math
from collections.abc import Iterator

import jax
import numpy as np
from jaxtyping import Int32

from vae_jax import noise
from vae_jax.training.parallel import Plan


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


def skip_steps(plans: Iterator[tuple[Plan, int]], num_steps: int) -> Iterator[tuple[Plan, int]]:
    """Yields the plans of `make_plans` without the first steps."""
    for plan, length in plans:
        if num_steps < length:
            yield roll_plan(plan, num_steps), length - num_steps
        num_steps = max(0, num_steps - length)


def take_steps(plans: Iterator[tuple[Plan, int]], num_steps: int) -> Iterator[tuple[Plan, int]]:
    """Yields the plans of `make_plans` with the first steps alone."""
    for plan, length in plans:
        if num_steps > 0:
            yield plan, min(length, num_steps)
        num_steps -= length


def roll_plan(plan: Plan, num_steps: int) -> Plan:
    """Returns a plan of the same shape that begins with a later step."""
    if not num_steps:
        return plan
    return jax.tree.map(lambda array: np.roll(array, -num_steps, axis=0), plan)
