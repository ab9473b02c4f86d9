"""Where the training images wait between steps: on the device, on the host, or on disk."""

import dataclasses
from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from vae_jax.data.image_store import Images, ImagesOnDisk
from vae_jax.runtime import processes
from vae_jax.runtime.memory import measure_memory_bytes
from vae_jax.training.parallel import Plan

# Where they wait -> how a sentence says it.
LOCATIONS = {"device": "on the device", "host": "on the host", "none": "on disk"}
# Of a device's memory: what images may take so that model and activations keep the rest.
_DEVICE_SHARE = 0.25
_AHEAD = 2  # calls whose images are read while the device is busy with another


@dataclasses.dataclass(frozen=True)
class Placement:
    """The training images, and where they wait.

    Attributes:
        cache: a name in `LOCATIONS`.
        images: on the device [N, H, W, C], or all of them on the host or on disk.
    """

    cache: str
    images: UInt8[Array, "N H W C"] | UInt8[Images, "N H W C"]

    def feed(
        self, plans: Iterable[tuple[Plan, int]]
    ) -> Iterator[tuple[UInt8[Array, "M H W C"], Plan, int]]:
        """Yields for each call the images that it is given, its plan, and how many of its steps count.

        Where the images are not on the device, those of an epoch's next calls are read while it is busy,
        and the plan's rows point into what the call is given. Of several processes each reads only what
        its own devices will see.
        """
        if self.cache == "device":
            for plan, num_steps in plans:
                yield self.images, plan, num_steps
            return
        import grain  # a second of start-up, which training on the device does without

        # No method: Grain writes down what it is given, and that would be all images.
        calls = grain.MapDataset.source(list(plans)).map(lambda call: self._read(*call))
        ahead = grain.ReadOptions(num_threads=_AHEAD, prefetch_buffer_size=_AHEAD)
        for images, plan, num_steps in calls.to_iter_dataset(ahead):
            # Only now, so that what is read ahead takes none of the device's memory.
            yield jnp.asarray(images), plan, num_steps

    def _read(self, plan: Plan, num_steps: int) -> tuple[UInt8[np.ndarray, "M H W C"], Plan, int]:
        own = processes.find_own_columns(plan.rows.shape[1])
        asked = plan.rows[:, own]
        rows = np.zeros_like(plan.rows)
        rows[:, own] = np.arange(asked.size).reshape(asked.shape)
        return self.images[asked.reshape(-1)], plan.replace(rows=rows), num_steps


def place_images(images: UInt8[Images, "N H W C"], cache: str) -> Placement:
    """Puts the images where `data.cache` says; "auto" takes the device where they fit.

    Images that stay on disk are streamed from there. The result of training does not depend on it.
    """
    if isinstance(images, ImagesOnDisk):
        return Placement("none", images)
    if cache == "auto":
        fits = images.nbytes <= _DEVICE_SHARE * _device_memory_bytes()
        # Several processes read a share each, not all of them everything.
        cache = "device" if fits and not processes.are_several() else "host"
    return Placement(cache, jnp.asarray(images) if cache == "device" else images)


def _device_memory_bytes() -> int:
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    # The CPU backend has no limit of its own: its device memory is the machine's.
    return limit or measure_memory_bytes()
