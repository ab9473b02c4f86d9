"""Many steps in one call, on one device or on several.

The training images lie on the device as uint8; a call gets the rows of its batches and runs them in one
compiled loop, without the host between steps. The number of steps is an argument, not a shape, so the
short last call of an epoch compiles nothing new.

S the most steps a call may take, B the global batch, N images.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, UInt8

from vae_jax.data.batches import Batch
from vae_jax.errors import UserError
from vae_jax.runtime import processes
from vae_jax.training.recipe import Recipe
from vae_jax.training.state import TrainState
from vae_jax.training.step import TracedHyperparameters, TrainStep, make_train_step

AXIS = "devices"


@flax.struct.dataclass
class Plan:
    """Which images each step of a call sees.

    Attributes:
        rows: where the image lies among the images that the call is given.
        index: its place in the training role, from which its noise follows.
        mask: 1 where it counts, 0 where it pads.
        class_index: its class; 0 where the model is not conditional.
    """

    rows: Any  # int32 [S, B]
    index: Any  # int32 [S, B]
    mask: Any  # float32 [S, B]
    class_index: Any  # int32 [S, B]


RunSteps = Callable[
    [TrainState, UInt8[Array, "N H W C"], Plan, int, TracedHyperparameters], tuple[TrainState, dict]
]


def _loop(step: TrainStep) -> Callable:
    """Returns (state, images, plan, num_steps, hyperparameters) -> (state, metrics of every step [S])."""

    def run(state, images, plan: Plan, num_steps, hyperparameters):
        def batch(i):
            return Batch(images[plan.rows[i]], plan.index[i], plan.mask[i], plan.class_index[i])

        def body(i, carry):
            state, record = carry
            state, metrics = step(state, batch(i), hyperparameters)
            return state, jax.tree.map(lambda all_, one: all_.at[i].set(one), record, metrics)

        shapes = jax.eval_shape(lambda: step(state, batch(0), hyperparameters)[1])
        record = jax.tree.map(lambda s: jnp.zeros((plan.rows.shape[0], *s.shape), s.dtype), shapes)
        return jax.lax.fori_loop(0, num_steps, body, (state, record))

    return run


def _jit(recipe: Recipe, devices: Sequence[jax.Device]) -> RunSteps:
    del devices
    return jax.jit(_loop(make_train_step(recipe)), donate_argnums=0)


def _pmap(recipe: Recipe, devices: Sequence[jax.Device]) -> RunSteps:
    """The state is one array a leaf, never stacked: in_axes and out_axes None.

    Each of several processes passes what its own devices see, and gets the state on them.
    """
    own = [i for i, device in enumerate(devices) if device.process_index == jax.process_index()]
    apart = len(own) < len(devices)
    mesh = jax.make_mesh(
        (len(own),), (AXIS,), axis_types=(AxisType.Auto,), devices=[devices[i] for i in own]
    )
    on_own = NamedSharding(mesh, PartitionSpec())
    run = jax.pmap(
        _loop(make_train_step(recipe, AXIS)),
        axis_name=AXIS,
        in_axes=(None, 0 if apart else None, 0, None, None),
        out_axes=None,
        devices=devices,
        donate_argnums=0,
    )

    def split(array):
        parts = array.reshape(array.shape[0], len(devices), -1)
        return np.ascontiguousarray(np.swapaxes(parts, 0, 1)[own])  # [own D, S, B / D]

    def run_steps(state, images, plan, num_steps, hyperparameters):
        plan = jax.tree.map(split, plan)
        if apart:
            # No longer the same images for all devices, so each is given those of its rows, in their order.
            images = images[plan.rows.reshape(len(own), -1)]
            order = np.arange(plan.rows[0].size, dtype=np.int32).reshape(plan.rows[0].shape)
            plan = plan.replace(rows=np.broadcast_to(order, plan.rows.shape))
            # JAX deletes a donated state that it has to spread over the process's devices itself.
            state = jax.device_put(state, on_own)
        return run(state, images, plan, num_steps, hyperparameters)

    return run_steps


def _sharded(recipe: Recipe, devices: Sequence[jax.Device]) -> RunSteps:
    """XLA splits the one-device program along the batch."""
    mesh = jax.make_mesh((len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices)
    whole = NamedSharding(mesh, PartitionSpec())
    by_example = NamedSharding(mesh, PartitionSpec(None, AXIS))
    return jax.jit(
        _loop(make_train_step(recipe)),
        in_shardings=(whole, whole, by_example, whole, whole),
        out_shardings=whole,
        donate_argnums=0,
    )


MODES = {"jit": _jit, "pmap": _pmap, "sharded": _sharded}


def make_run_steps(
    recipe: Recipe, mode: str, batch_size: int, devices: Sequence[jax.Device]
) -> RunSteps:
    """Compiles the loop over steps.

    Args:
        recipe: how the model is trained.
        mode: a name in MODES, or "auto": pmap on more than one device, else jit.
        batch_size: images per step, over all devices.
        devices: to run on; jit uses only the first.

    Returns:
        (state, images, plan, num_steps, hyperparameters) -> (state, metrics [S]). The state that is
        passed in is donated.

    Raises:
        UserError: if the batch cannot be shared evenly, or several processes are not to use pmap.
    """
    if mode == "auto":
        mode = "pmap" if len(devices) > 1 else "jit"
    if processes.are_several() and mode != "pmap":
        raise UserError(
            f"train.parallel is {mode}, which works in one process only; with several processes take "
            "pmap or auto"
        )
    shares = len(devices) * recipe.accumulate
    if mode != "jit" and batch_size % shares:
        below = batch_size // shares * shares
        accumulate = recipe.accumulate
        parts = f" times train.accumulate={accumulate}" if accumulate > 1 else ""
        raise UserError(
            f"train.batch_size is {batch_size}, which is not divisible by the {len(devices)} "
            f"devices{parts}: take {below or shares} or {below + shares}, or --config.train.parallel=jit"
        )
    return MODES[mode](recipe, devices)


def replicas_agree(state: TrainState) -> bool:
    """Whether every device of every process holds the same state, bit for bit.

    With `out_axes=None` pmap hands back the first device's copy and nobody notices when the others
    have drifted, as they would without the sum over devices.
    """
    alike, digest = True, hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        first, *rest = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        alike &= all(np.array_equal(first, other, equal_nan=True) for other in rest)
        digest.update(first.tobytes())
    # The first of the processes is as good as any to compare the others with.
    digests = processes.gather(np.frombuffer(digest.digest(), np.uint32))
    return bool(processes.gather(np.array(alike)).all() and (digests == digests[0]).all())
