"""Many training steps in one call, on one device or on several.

The training images are on the device as uint8. A call receives the rows of its batches among these images,
and runs its steps in one compiled loop, so that the host does nothing between steps. The number of steps is
an argument and not a shape: the shorter last call of an epoch needs no new compilation.

Shapes: S the largest number of steps in a call, B images per step over all devices, N images.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from vae_jax.data.batches import Batch
from vae_jax.errors import UserError
from vae_jax.model.branched import BranchedVAE
from vae_jax.runtime import processes
from vae_jax.training.recipe import Recipe
from vae_jax.training.state import TrainState
from vae_jax.training.step import TracedHyperparameters, TrainStep, make_train_step

AXIS = "devices"


@flax.struct.dataclass
class Plan:
    """The images of each step of a call.

    Attributes:
        rows: row of each image in the array of images that is passed to the call.
        index: index of each image in the training role, from which its noise is derived.
        mask: 1 for an image that counts, 0 for padding.
        class_index: class of each image; 0 if the model is not conditional.
    """

    rows: Any  # int32 [S, B]
    index: Any  # int32 [S, B]
    mask: Any  # float32 [S, B]
    class_index: Any  # int32 [S, B]


RunSteps = Callable[[TrainState, Any, Plan, int, TracedHyperparameters], tuple[TrainState, dict]]


def _make_loop(step: TrainStep) -> Callable:
    """Returns (state, images, plan, num_steps, hyperparameters) -> (state, metrics of each step [S])."""

    def run(state, images, plan: Plan, num_steps, hyperparameters):
        def select_batch(i):
            rows = plan.rows[i]
            image = jax.tree.map(lambda array: array[rows], images)
            return Batch(image, plan.index[i], plan.mask[i], plan.class_index[i])

        def body(i, carry):
            state, metrics = carry
            state, step_metrics = step(state, select_batch(i), hyperparameters)
            metrics = jax.tree.map(
                lambda values, value: values.at[i].set(value), metrics, step_metrics
            )
            return state, metrics

        shapes = jax.eval_shape(lambda: step(state, select_batch(0), hyperparameters)[1])
        metrics = jax.tree.map(lambda s: jnp.zeros((plan.rows.shape[0], *s.shape), s.dtype), shapes)
        return jax.lax.fori_loop(0, num_steps, body, (state, metrics))

    return run


def _compile_with_jit(recipe: Recipe, devices: Sequence[jax.Device]) -> RunSteps:
    del devices
    if isinstance(recipe.model, BranchedVAE) and jax.default_backend() == "cpu":
        return _loop_on_host(make_train_step(recipe))
    return jax.jit(_make_loop(make_train_step(recipe)), donate_argnums=0)


def _loop_on_host(step: TrainStep) -> RunSteps:
    """Returns the same as a compiled loop, with one call for each step.

    Inside a compiled loop, XLA's CPU backend takes three times as long for a step of the spatial layers.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def run_step(state, images, plan: Plan, hyperparameters):
        image = jax.tree.map(lambda array: array[plan.rows], images)
        batch = Batch(image, plan.index, plan.mask, plan.class_index)
        return step(state, batch, hyperparameters)

    def run(state, images, plan, num_steps, hyperparameters):
        metrics = []
        for i in range(num_steps):
            step_plan = jax.tree.map(lambda array, i=i: array[i], plan)
            state, step_metrics = run_step(state, images, step_plan, hyperparameters)
            metrics.append(step_metrics)
        return state, jax.tree.map(lambda *values: np.array(values), *metrics)

    return run


def _compile_with_pmap(recipe: Recipe, devices: Sequence[jax.Device]) -> RunSteps:
    """Every device runs the loop on its share of each batch.

    The state has no axis of devices (in_axes and out_axes are None): each of its leaves is one array. If
    there are several processes, each passes only the images of its local devices.
    """
    process = jax.process_index()
    local = [i for i, device in enumerate(devices) if device.process_index == process]
    several_processes = len(local) < len(devices)
    mesh = jax.make_mesh(
        (len(local),), (AXIS,), axis_types=(AxisType.Auto,), devices=[devices[i] for i in local]
    )
    on_local_devices = NamedSharding(mesh, PartitionSpec())
    run = jax.pmap(
        _make_loop(make_train_step(recipe, AXIS)),
        axis_name=AXIS,
        in_axes=(None, 0 if several_processes else None, 0, None, None),
        out_axes=None,
        devices=devices,
        donate_argnums=0,
    )

    def split(array):
        parts = array.reshape(array.shape[0], len(devices), -1)
        return np.ascontiguousarray(np.swapaxes(parts, 0, 1)[local])  # [local D, S, B / D]

    def run_steps(state, images, plan, num_steps, hyperparameters):
        plan = jax.tree.map(split, plan)
        if several_processes:
            # This process holds the images of its local devices only. Each device receives the images of
            # its own rows, in the order of these rows.
            rows = plan.rows.reshape(len(local), -1)
            images = jax.tree.map(lambda array: array[rows], images)
            order = np.arange(plan.rows[0].size, dtype=np.int32).reshape(plan.rows[0].shape)
            plan = plan.replace(rows=np.broadcast_to(order, plan.rows.shape))
            # If JAX itself had to copy the donated state to the local devices, it would delete the state.
            state = jax.device_put(state, on_local_devices)
        return run(state, images, plan, num_steps, hyperparameters)

    return run_steps


def _compile_with_sharding(recipe: Recipe, devices: Sequence[jax.Device]) -> RunSteps:
    """XLA divides the program of one device along the batch."""
    mesh = jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    replicated = NamedSharding(mesh, PartitionSpec())
    by_example = NamedSharding(mesh, PartitionSpec(None, AXIS))
    return jax.jit(
        _make_loop(make_train_step(recipe)),
        in_shardings=(replicated, replicated, by_example, replicated, replicated),
        out_shardings=replicated,
        donate_argnums=0,
    )


MODES = {"jit": _compile_with_jit, "pmap": _compile_with_pmap, "sharded": _compile_with_sharding}


def make_run_steps(
    recipe: Recipe, mode: str, batch_size: int, devices: Sequence[jax.Device]
) -> RunSteps:
    """Returns the loop over training steps; it is compiled in the first call.

    Args:
        recipe: how the model is trained.
        mode: key of MODES, or "auto", which means pmap if there is more than one device, and jit otherwise.
        batch_size: images per step, over all devices.
        devices: devices to run on; jit uses only the first of them.

    Returns:
        (state, images, plan, num_steps, hyperparameters) -> (next state, metrics of each step [S]). The
        memory of the passed state is donated to the next state.

    Raises:
        UserError: if the devices cannot share a batch evenly, or there are several processes and the mode
            is not pmap.
    """
    if mode == "auto":
        mode = "pmap" if len(devices) > 1 else "jit"
    if processes.are_several() and mode != "pmap":
        raise UserError(
            f"train.parallel is {mode}, which works in one process only; set it to pmap or "
            "auto for several processes"
        )
    shares = len(devices) * recipe.accumulate
    if mode != "jit" and batch_size % shares:
        below = batch_size // shares * shares
        sizes = f"{below} or {below + shares}" if below else f"{shares}"
        accumulate = recipe.accumulate
        parts = f" times train.accumulate={accumulate}" if accumulate > 1 else ""
        raise UserError(
            f"train.batch_size is {batch_size}, which is not divisible by the {len(devices)} "
            f"devices{parts}; set it to {sizes}, or set train.parallel=jit"
        )
    return MODES[mode](recipe, devices)


def replicas_agree(state: TrainState) -> bool:
    """Returns whether every device of every process holds the same state, bit for bit.

    pmap with `out_axes=None` returns the state of the first device. Without this check nobody would notice
    if the states of the devices differed, for example because a sum over devices was missing.
    """
    devices_agree, digest = True, hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        first, *others = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        devices_agree &= all(np.array_equal(first, other, equal_nan=True) for other in others)
        digest.update(first.tobytes())
    digests = processes.gather(np.frombuffer(digest.digest(), np.uint32))
    processes_agree = (digests == digests[0]).all()
    return bool(processes.gather(np.array(devices_agree)).all() and processes_agree)
