"""Where the training images are stored between steps: on the device, on the host, or on disk."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax.data.image_store import Images, ImagesOnDisk
from vae_jax.observation.observed import ObservedImages
from vae_jax.runtime import processes
from vae_jax.runtime.available_memory import check_fits
from vae_jax.runtime.memory import measure_memory_bytes
from vae_jax.training.parallel import Plan

# Name of a place -> the phrase for the log.
LOCATIONS = {"device": "on the device", "host": "on the host", "none": "on disk"}
# Largest share of a device's memory that the images may occupy; the rest is for the model and its
# activations.
_MAX_DEVICE_SHARE = 0.25
_CALLS_READ_AHEAD = 2  # number of calls whose images are read while the device computes


@dataclasses.dataclass(frozen=True)
class Placement:
    """The training images, and where they are stored.

    Attributes:
        cache: where the images are stored, a key of `LOCATIONS`.
        images: all training images, as an array on the device, an array on the host, or images on disk;
            for a model of several observations, name -> observations, or `ObservedImages`.
    """

    cache: str
    images: Any

    def feed(self, plans: Iterable[tuple[Plan, int]]) -> Iterator[tuple[Any, Plan, int]]:
        """Yields for each call its images, its plan, and how many of its steps are to be run.

        If the images are on the device, every call receives all of them. Otherwise a call receives only its
        own images, and the rows of its plan refer to these; they are read while the device computes earlier
        calls. If there are several processes, each of them reads only the images of its local devices.

        Args:
            plans: the plan of each call and how many of its steps are to be run.
        """
        if self.cache == "device":
            for plan, num_steps in plans:
                yield self.images, plan, num_steps
            return
        import grain  # imported here, because it takes a second that training on the device does not need

        # The function is not a method: Grain serialises what it is given, and a method would carry all
        # images.
        calls = grain.MapDataset.source(list(plans)).map(lambda call: self._read(*call))
        ahead = grain.ReadOptions(
            num_threads=_CALLS_READ_AHEAD, prefetch_buffer_size=_CALLS_READ_AHEAD
        )
        for images, plan, num_steps in calls.to_iter_dataset(ahead):
            # Images are copied to the device only here, so that those read ahead use no device memory.
            yield jax.tree.map(jnp.asarray, images), plan, num_steps

    def _read(self, plan: Plan, num_steps: int) -> tuple[Any, Plan, int]:
        """Returns this process's images of the plan, and the plan with rows that refer to these images."""
        columns = processes.find_own_columns(plan.rows.shape[1])
        own_rows = plan.rows[:, columns]
        rows = np.zeros_like(plan.rows)
        rows[:, columns] = np.arange(own_rows.size).reshape(own_rows.shape)
        return self.images[own_rows.reshape(-1)], plan.replace(rows=rows), num_steps


def place_images(images: Images | ObservedImages, cache: str) -> Placement:
    """Places the training images where `data.cache` requests; this does not change the result of training.

    Args:
        images: training images, or their observations. Images on disk stay there and are streamed.
        cache: `data.cache`: "device", "host", or "auto", which means the device if the images fit.

    Raises:
        UserError: if they are to be on the device, whose memory is smaller.
    """
    if isinstance(images, ImagesOnDisk):
        return Placement("none", images)
    if cache == "auto":
        fits = images.nbytes <= _MAX_DEVICE_SHARE * _device_memory_bytes()
        # With several processes each process should read only its share of the images.
        cache = "device" if fits and not processes.are_several() else "host"
    if cache != "device":
        return Placement(cache, images)
    check_fits(
        "the array of all training images", images.nbytes, _device_memory_bytes(),
        "set data.cache=host, which keeps it in the memory of the machine",
    )  # fmt: skip
    return Placement(cache, jax.tree.map(jnp.asarray, images[:]))


def _device_memory_bytes() -> int:
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    # The CPU backend reports no limit: its memory is that of the machine.
    return limit or measure_memory_bytes()
